"""The forward pass of a Llama, as functions of its weights; for training only."""

import torch
from torch import Tensor
from torch.nn import functional

from deploy.models.architecture import Architecture

Weights = dict[str, Tensor]


def initial(architecture: Architecture, seed: int) -> Weights:
    """Norms are one and layers begin as identities, which trains faster (Zhang et al., Fixup)."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in architecture.shapes().items():
        if len(shape) == 1:
            value = torch.ones(shape)
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            value = torch.zeros(shape)
        else:
            value = torch.randn(shape, generator=generator) * 0.02
        weights[name] = value.requires_grad_()
    return weights


def logits(
    weights: Weights, tokens: Tensor, positions: Tensor, architecture: Architecture
) -> Tensor:
    """Tokens and positions (rows, tokens) -> scores (rows, tokens, words)."""
    embedding = weights["model.embed_tokens.weight"]
    rotation = _rotation(positions, architecture)
    hidden = embedding[tokens]
    for index in range(architecture.num_hidden_layers):
        prefix = f"model.layers.{index}."
        layer = {
            name.removeprefix(prefix).removesuffix(".weight"): weight
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
        hidden = hidden + _attention(layer, hidden, rotation, architecture)
        hidden = hidden + _mlp(layer, hidden, architecture)
    return functional.linear(_norm(hidden, weights["model.norm.weight"], architecture), embedding)


def _norm(hidden: Tensor, weight: Tensor, architecture: Architecture) -> Tensor:
    return functional.rms_norm(hidden, weight.shape, weight, architecture.rms_norm_eps)


def _mlp(layer: Weights, hidden: Tensor, architecture: Architecture) -> Tensor:
    normed = _norm(hidden, layer["post_attention_layernorm"], architecture)
    gate = functional.silu(functional.linear(normed, layer["mlp.gate_proj"]))
    up = functional.linear(normed, layer["mlp.up_proj"])
    return functional.linear(gate * up, layer["mlp.down_proj"])


def _attention(
    layer: Weights, hidden: Tensor, rotation: tuple[Tensor, Tensor], architecture: Architecture
) -> Tensor:
    rows, length, _ = hidden.shape
    normed = _norm(hidden, layer["input_layernorm"], architecture)

    def heads(name: str) -> Tensor:
        split = functional.linear(normed, layer[name]).view(rows, length, -1, architecture.head_dim)
        return split.transpose(1, 2)

    # Heads that share keys are rows of one product.
    queries = _rotated(heads("self_attn.q_proj"), rotation) * architecture.head_dim**-0.5
    queries = queries.reshape(rows, architecture.num_key_value_heads, -1, architecture.head_dim)
    keys, values = _rotated(heads("self_attn.k_proj"), rotation), heads("self_attn.v_proj")
    # Faster on a CPU than the fused kernel, up to a thousand tokens.
    ahead = torch.full((length, length), float("-inf"), dtype=queries.dtype).triu(1)
    scores = (queries @ keys.transpose(-1, -2)).unflatten(2, (-1, length)) + ahead
    mixed = torch.softmax(scores, -1).flatten(2, 3) @ values
    mixed = mixed.unflatten(2, (-1, length)).permute(0, 3, 1, 2, 4)
    return functional.linear(mixed.reshape(rows, length, -1), layer["self_attn.o_proj"])


def _rotation(positions: Tensor, architecture: Architecture) -> tuple[Tensor, Tensor]:
    """Cosine and sine, (rows, 1, tokens, head_dim): the same for all heads."""
    half = torch.arange(0, architecture.head_dim, 2) / architecture.head_dim
    angles = positions[:, None, :, None] * architecture.rope_theta**-half
    both = torch.cat((angles, angles), -1)
    return both.cos().bfloat16(), both.sin().bfloat16()


def _rotated(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = rotation
    first, second = heads.chunk(2, -1)
    return heads * cosine + torch.cat((-second, first), -1) * sine
