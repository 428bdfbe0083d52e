"""A Llama small enough for a repository, in the words of the files that others read it from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODEL: Final = Path(__file__).parent / "cato-code"

END: Final = "<|endoftext|>"
FIM_PREFIX: Final = "<|fim_prefix|>"
FIM_MIDDLE: Final = "<|fim_middle|>"
FIM_SUFFIX: Final = "<|fim_suffix|>"
FIM_PAD: Final = "<|fim_pad|>"
# As Qwen2.5-Coder writes them, so that its template serves here too.
MARKS: Final = (END, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, FIM_PAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The fields of a `config.json` of the Llama family, under their names there."""

    vocab_size: int = 4096
    hidden_size: int = 256
    intermediate_size: int = 704
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    max_position_embeddings: int = 4096
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10_000.0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every tensor, by its name in `model.safetensors`; matrices are (out, in)."""
        hidden, inner = self.hidden_size, self.intermediate_size
        queries = self.num_attention_heads * self.head_dim
        keys = self.num_key_value_heads * self.head_dim
        layer = {
            "input_layernorm": (hidden,),
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, queries),
            "post_attention_layernorm": (hidden,),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        return {
            "model.embed_tokens.weight": (self.vocab_size, hidden),
            **{
                f"model.layers.{index}.{name}.weight": shape
                for index in range(self.num_hidden_layers)
                for name, shape in layer.items()
            },
            "model.norm.weight": (hidden,),
        }
