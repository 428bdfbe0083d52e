"""The same network as an ONNX graph without weights, for the runtime of the embedded engine.

One step of it: some new tokens of each sequence go in behind what its cache holds, the words that
may follow the last one come out. Tensors are float32; `GroupQueryAttention` writes the cache in
place where past and present are bound to the same memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, save

from deploy.models.architecture import Architecture

_OPSET: Final = 17
# Operators of ONNX Runtime's own.
_FUSED: Final = "com.microsoft"
_NORMAL: Final = "SimplifiedLayerNormalization"


def write_graph(path: Path, architecture: Architecture) -> None:
    save(_model(architecture), path)


def initializers(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """What the graph wants to be given, and in which shape; matrices are (in, out)."""
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    queries = architecture.num_attention_heads * architecture.head_dim
    keys = architecture.num_key_value_heads * architecture.head_dim
    turns = (architecture.max_position_embeddings, architecture.head_dim // 2)
    layer = {
        "norm": (hidden,),
        "qkv": (hidden, queries + 2 * keys),
        "out": (queries, hidden),
        "mlp_norm": (hidden,),
        "gate": (hidden, inner),
        "up": (hidden, inner),
        "down": (inner, hidden),
    }
    return {
        "embedding": (architecture.vocab_size, hidden),
        "final_norm": (hidden,),
        "cosine": turns,
        "sine": turns,
        **{
            f"{name}.{index}": shape
            for index in range(architecture.num_hidden_layers)
            for name, shape in layer.items()
        },
    }


def _model(architecture: Architecture) -> ModelProto:
    layers = range(architecture.num_hidden_layers)
    past = [_cache(f"{what}.{n}", architecture) for n in layers for what in ("key", "value")]
    present = [_cache(f"new_{each.name}", architecture) for each in past]
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["rows", "tokens"])
    before = helper.make_tensor_value_info("last_positions", TensorProto.INT32, ["rows"])
    total = helper.make_tensor_value_info("longest", TensorProto.INT32, [])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", "words"])
    graph = helper.make_graph(
        list(_nodes(architecture)),
        "cato-code",
        [tokens, before, total, *past],
        [logits, *present],
        [_outside(name, shape) for name, shape in initializers(architecture).items()]
        + [helper.make_tensor("last", TensorProto.INT64, [], [-1])],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def _nodes(architecture: Architecture) -> Iterator[NodeProto]:
    norm = {"epsilon": architecture.rms_norm_eps}
    yield helper.make_node("Gather", ["embedding", "tokens"], ["hidden.0"])
    yield helper.make_node(
        _NORMAL, ["hidden.0", "norm.0"], ["normed.0"], axis=-1, stash_type=1, **norm
    )
    for n in range(architecture.num_hidden_layers):
        is_last = n + 1 == architecture.num_hidden_layers
        yield from _attention(n, architecture)
        yield _residual(f"hidden.{n}", f"attended.{n}", f"mlp_norm.{n}", f"mlp.{n}", norm)
        yield from _mlp(n)
        gamma = "final_norm" if is_last else f"norm.{n + 1}"
        yield _residual(
            f"mlp.{n}.sum", f"fed.{n}", gamma, f"normed.{n + 1}", norm, f"hidden.{n + 1}"
        )
    # Only what follows the last token is wanted.
    top = f"normed.{architecture.num_hidden_layers}"
    yield helper.make_node("Gather", [top, "last"], ["final"], axis=1)
    yield helper.make_node("Gemm", ["final", "embedding"], ["logits"], transB=1)


def _attention(n: int, architecture: Architecture) -> Iterator[NodeProto]:
    yield helper.make_node("MatMul", [f"normed.{n}", f"qkv.{n}"], [f"heads.{n}"])
    cache = [f"key.{n}", f"value.{n}"]
    yield helper.make_node(
        "GroupQueryAttention",
        [f"heads.{n}", "", "", *cache, "last_positions", "longest", "cosine", "sine"],
        [f"mixed.{n}", *(f"new_{each}" for each in cache)],
        domain=_FUSED,
        num_heads=architecture.num_attention_heads,
        kv_num_heads=architecture.num_key_value_heads,
        do_rotary=1,
    )
    yield helper.make_node("MatMul", [f"mixed.{n}", f"out.{n}"], [f"attended.{n}"])


def _mlp(n: int) -> Iterator[NodeProto]:
    yield helper.make_node("MatMul", [f"mlp.{n}", f"gate.{n}"], [f"gated.{n}"])
    yield helper.make_node("MatMul", [f"mlp.{n}", f"up.{n}"], [f"upped.{n}"])
    # With alpha = 1 this is SiLU.
    yield helper.make_node("QuickGelu", [f"gated.{n}"], [f"active.{n}"], domain=_FUSED, alpha=1.0)
    yield helper.make_node("Mul", [f"active.{n}", f"upped.{n}"], [f"inner.{n}"])
    yield helper.make_node("MatMul", [f"inner.{n}", f"down.{n}"], [f"fed.{n}"])


def _residual(
    hidden: str, added: str, gamma: str, normed: str, norm: dict[str, float], total: str = ""
) -> NodeProto:
    """Add, and norm the sum."""
    outputs = [normed, "", "", total or f"{normed}.sum"]
    name = "SkipSimplifiedLayerNormalization"
    return helper.make_node(name, [hidden, added, gamma], outputs, domain=_FUSED, **norm)


def _cache(name: str, architecture: Architecture) -> ValueInfoProto:
    heads, size = architecture.num_key_value_heads, architecture.head_dim
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", heads, "context", size])


def _outside(name: str, shape: tuple[int, ...]) -> TensorProto:
    """Named here, given by whoever opens the graph."""
    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="model.safetensors")
    return tensor
