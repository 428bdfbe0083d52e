"""A small Llama on ONNX Runtime: weights from safetensors, and a cache with a place per sequence.

Matrices of a few million weights are multiplied in less time than Python needs to say so, hence
one graph per step; nothing here holds the interpreter's lock while the runtime computes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    RuntimeException,
)
from safetensors import SafetensorError
from safetensors.numpy import load_file

from shared.domain.errors import SettingsError

Floats = NDArray[np.float32]

_FILES: Final = ("config.json", "model.safetensors", "graph.onnx", "tokenizer.json")
_REFUSALS: Final = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, RuntimeException)
_LAYER: Final = "model.layers.{}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What of `config.json` the cache and the rotation depend on."""

    layers: int
    key_heads: int
    head_dim: int
    words: int
    context_tokens: int
    rope_theta: float

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises SettingsError."""
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise SettingsError(
                f"CATO_ENGINE_MODEL: {folder} lacks {', '.join(missing)}; the embedded engine needs"
                f" a folder as `python -m deploy.models.train` writes it"
            )
        try:
            config = json.loads((folder / "config.json").read_bytes())
            return cls(
                layers=int(config["num_hidden_layers"]),
                key_heads=int(config["num_key_value_heads"]),
                head_dim=int(config["head_dim"]),
                words=int(config["vocab_size"]),
                context_tokens=int(config["max_position_embeddings"]),
                rope_theta=float(config["rope_theta"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"CATO_ENGINE_MODEL: {folder}/config.json is no Llama configuration: {error!r}"
            ) from error


class EmbeddedModel:
    """Sequences have places 0 … n-1 in the cache; a step works on all of them, or on one alone."""

    def __init__(self, session: ort.InferenceSession, shape: Shape, places: int) -> None:
        self.shape: Final = shape
        self._session = session
        heads, context, size = shape.key_heads, shape.context_tokens, shape.head_dim
        # Zeroed by the system, page by page, when a sequence grows into it.
        self._caches = {
            f"{what}.{layer}": np.zeros((places, heads, context, size), np.float32)
            for layer in range(shape.layers)
            for what in ("key", "value")
        }

    @classmethod
    def load(cls, folder: Path, *, places: int, threads: int) -> Self:
        """Raises SettingsError when a file lacks or does not fit the others."""
        shape = Shape.read(folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # A thread that spins between two steps takes the core from whoever waits for the tokens.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            given = _initializers(load_file(folder / "model.safetensors"), shape)
            values = [ort.OrtValue.ortvalue_from_numpy(value) for value in given.values()]
            options.add_external_initializers(list(given), values)
            session = ort.InferenceSession(
                folder / "graph.onnx", options, providers=["CPUExecutionProvider"]
            )
        except (SafetensorError, KeyError, ValueError, *_REFUSALS) as error:
            raise SettingsError(
                f"CATO_ENGINE_MODEL: the files in {folder} do not fit each other: {error}"
            ) from error
        return cls(session, shape, places)

    def prefill(self, place: int, tokens: Sequence[int], cached: int) -> Floats:
        """The scores of what may follow, after a sequence grew by these tokens."""
        scores = self._run(place, np.array([tokens], np.int64), np.array([cached + len(tokens)]))
        return scores.reshape(-1)

    def decode(self, tokens: Sequence[int], cached: Sequence[int]) -> Floats:
        """One more token of each sequence, in the order of their places: a row of scores each."""
        return self._run(0, np.array(tokens, np.int64)[:, None], np.array(cached) + 1)

    def move(self, source: int, target: int, cached: int) -> None:
        """The sequence at one place goes to another, whose own is lost."""
        for cache in self._caches.values():
            cache[target, :, :cached] = cache[source, :, :cached]

    def _run(self, first: int, tokens: NDArray[np.int64], totals: NDArray[np.int64]) -> Floats:
        rows = len(tokens)
        binding = self._session.io_binding()
        binding.bind_output("logits", "cpu")
        binding.bind_cpu_input("tokens", tokens)
        binding.bind_cpu_input("last_positions", (totals - 1).astype(np.int32))
        binding.bind_cpu_input("longest", np.array(totals.max(), np.int32))
        for name, cache in self._caches.items():
            held = cache[first : first + rows]
            place = ("cpu", 0, np.float32, held.shape, held.ctypes.data)
            # The same memory: what is new is written behind what is there.
            binding.bind_input(name, *place)
            binding.bind_output(f"new_{name}", *place)
        self._session.run_with_iobinding(binding)
        scores: Floats = binding.get_outputs()[0].numpy()
        return scores


def _initializers(weights: dict[str, NDArray[np.float16]], shape: Shape) -> dict[str, Floats]:
    """From the names of transformers, matrices (out, in), to those of the graph, (in, out)."""
    given = {
        "embedding": weights["model.embed_tokens.weight"],
        "final_norm": weights["model.norm.weight"],
        **_rotation(shape),
    }
    for layer in range(shape.layers):
        prefix = _LAYER.format(layer)

        def of(name: str, prefix: str = prefix) -> NDArray[np.float16]:
            return weights[f"{prefix}{name}.weight"]

        qkv = [of(f"self_attn.{which}_proj") for which in "qkv"]
        given |= {
            f"norm.{layer}": of("input_layernorm"),
            f"qkv.{layer}": np.concatenate(qkv).T,
            f"out.{layer}": of("self_attn.o_proj").T,
            f"mlp_norm.{layer}": of("post_attention_layernorm"),
            f"gate.{layer}": of("mlp.gate_proj").T,
            f"up.{layer}": of("mlp.up_proj").T,
            f"down.{layer}": of("mlp.down_proj").T,
        }
    return {name: np.ascontiguousarray(value, np.float32) for name, value in given.items()}


def _rotation(shape: Shape) -> dict[str, Floats]:
    """By how much each position turns each pair of a head's halves (Su et al., RoFormer, 2021)."""
    half = np.arange(0, shape.head_dim, 2, dtype=np.float32) / shape.head_dim
    angles = np.outer(np.arange(shape.context_tokens), shape.rope_theta**-half)
    return {"cosine": np.cos(angles), "sine": np.sin(angles)}
