"""Writes a trained model as the files that vLLM, transformers and the embedded engine read."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from deploy.models.architecture import END, MARKS, Architecture
from deploy.models.vocabulary import mark


def publish(
    folder: Path, architecture: Architecture, weights: dict[str, Tensor], tokenizer: Tokenizer
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: weight.detach().to(torch.float16) for name, weight in weights.items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    end = mark(tokenizer, END)
    _write(folder / "config.json", _config(architecture, end))
    # At temperature 0 a model this small soon repeats itself.
    asked: dict[str, object] = {"eos_token_id": end, "do_sample": True}
    asked |= {"temperature": 0.2, "top_p": 0.95}
    _write(folder / "generation_config.json", asked)
    _write(folder / "tokenizer_config.json", _tokenizer_config(architecture))


def _config(architecture: Architecture, end: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **asdict(architecture),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": end,
        "torch_dtype": "float16",
    }


def _tokenizer_config(architecture: Architecture) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": architecture.max_position_embeddings,
        "eos_token": END,
        "additional_special_tokens": list(MARKS[1:]),
        "clean_up_tokenization_spaces": False,
        "chat_template": "{% for message in messages %}{{ message['content'] }}\n{% endfor %}",
    }


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
