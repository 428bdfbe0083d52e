"""Which runtime shall serve the model: `python -m deploy.models.compare_runtimes`.

Needs ctranslate2 beside what the embedded engine needs. Times are CPU time on one thread, the best
of several runs: what a run takes where nothing else wants the core.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import files
from pathlib import Path
from typing import Final, Protocol, Self

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec
from safetensors.numpy import load_file

from deploy.models.architecture import MODEL, Architecture
from services.worker.engines.embedded_model import EmbeddedModel

_STREAMS: Final = 8
_TOKENS: Final = 64
_BEST_OF: Final = 7


class Runtime(Protocol):
    def first_token(self, prompt: list[int]) -> None: ...

    def streams(self, prompts: list[list[int]], tokens: int) -> None: ...


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    model: EmbeddedModel

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(EmbeddedModel.load(folder, places=_STREAMS, threads=1))

    def first_token(self, prompt: list[int]) -> None:
        self.model.prefill(0, prompt, 0).argmax()

    def streams(self, prompts: list[list[int]], tokens: int) -> None:
        last = [int(self.model.prefill(n, each, 0).argmax()) for n, each in enumerate(prompts)]
        for done in range(tokens - 1):
            scores = self.model.decode(last, [len(each) + done for each in prompts])
            last = [int(best) for best in scores.argmax(axis=1)]


@dataclass(frozen=True, slots=True)
class CTranslate2:
    """Its batches are fixed when they start: who comes later waits for the end of one."""

    generator: ctranslate2.Generator
    words: list[str]

    @classmethod
    def load(cls, folder: Path) -> Self:
        words = [str(number) for number in range(Architecture().vocab_size)]
        with tempfile.TemporaryDirectory() as converted:
            _convert(folder, converted, words)
            return cls(ctranslate2.Generator(converted, intra_threads=1), words)

    def first_token(self, prompt: list[int]) -> None:
        self.streams([prompt], 1)

    def streams(self, prompts: list[list[int]], tokens: int) -> None:
        self.generator.generate_batch(
            [[self.words[token] for token in prompt] for prompt in prompts],
            max_length=tokens,
            min_length=tokens,
            include_prompt_in_result=False,
        )


RUNTIMES: Final[dict[str, Callable[[Path], Runtime]]] = {
    "onnxruntime": OnnxRuntime.load,
    "ctranslate2": CTranslate2.load,
}


def _convert(folder: Path, target: str, words: list[str]) -> None:
    shape = Architecture()
    weights = load_file(folder / "model.safetensors")
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        num_layers=shape.num_hidden_layers,
        num_heads=shape.num_attention_heads,
        num_heads_kv=shape.num_key_value_heads,
        activation=common_spec.Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=shape.rope_theta,
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = decoder.projection.weight = _full(weights, "model.embed_tokens")
    decoder.layer_norm.gamma = _full(weights, "model.norm")
    for index, layer in enumerate(decoder.layer):
        prefix = f"model.layers.{index}."
        attention, inner = layer.self_attention, layer.ffn
        attention.layer_norm.gamma = _full(weights, f"{prefix}input_layernorm")
        heads = [_full(weights, f"{prefix}self_attn.{each}_proj") for each in "qkv"]
        attention.linear[0].weight = np.concatenate(heads)
        attention.linear[1].weight = _full(weights, f"{prefix}self_attn.o_proj")
        inner.layer_norm.gamma = _full(weights, f"{prefix}post_attention_layernorm")
        inner.linear_0.weight = _full(weights, f"{prefix}mlp.gate_proj")
        inner.linear_0_noact.weight = _full(weights, f"{prefix}mlp.up_proj")
        inner.linear_1.weight = _full(weights, f"{prefix}mlp.down_proj")
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = words[0]
    spec.config.layer_norm_epsilon = shape.rms_norm_eps
    spec.register_vocabulary(words)
    spec.validate()
    spec.save(target)


def _full(weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return weights[f"{name}.weight"].astype(np.float32)


def best_s(work: Callable[[], object], times: int = _BEST_OF) -> float:
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def installed_mib(distribution: str) -> float:
    paths = [Path(str(file.locate())) for file in files(distribution) or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20


def measured(name: str, folder: Path) -> str:
    """One line of the table in the README."""
    start_s = best_s(lambda: RUNTIMES[name](folder), times=3)
    runtime = RUNTIMES[name](folder)
    prompt = [token % 4000 + 5 for token in range(1000)]
    asked = partial(runtime.first_token, prompt[:256]), partial(runtime.first_token, prompt)
    short_s, long_s = map(best_s, asked)
    prompts = [prompt[shift : shift + 32] for shift in range(_STREAMS)]
    streams_s = best_s(lambda: runtime.streams(prompts, _TOKENS), times=5)
    speed = _STREAMS * _TOKENS / streams_s
    return (
        f"| {name} | {start_s:.2f} | {short_s * 1e3:.0f} | {long_s * 1e3:.0f}"
        f" | {speed:,.0f} | {installed_mib(name):.0f} |\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.models.compare_runtimes")
    parser.add_argument("--model", type=Path, default=MODEL)
    options = parser.parse_args()
    sys.stdout.write(
        "| runtime | start s | first token of 256 ms | of 1,000 ms | tokens/s at 8 | MiB |\n"
        "|---|---|---|---|---|---|\n"
    )
    for name in RUNTIMES:
        sys.stdout.write(measured(name, options.model))


if __name__ == "__main__":
    main()
