"""A tiny Llama and its tokenizer, made here, so that a real engine runs without a download.

`python -m deploy.models.tiny_llama DIR` needs torch and transformers, which vLLM brings along.
Its weights are random but seeded: what it writes is nonsense, and always the same nonsense.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from string import ascii_letters, digits, punctuation
from typing import Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from shared.tasks.fim import FIM_TEMPLATES

CONTEXT_TOKENS: Final = 4096

_SEED: Final = 7
_MARKS: Final = FIM_TEMPLATES["qwen2.5-coder"].stop
_END_OF_TEXT: Final = "<|endoftext|>"
# The only tokens it ever writes by choice, so that its text is text and it seldom ends by itself.
_WRITTEN: Final = ascii_letters + digits + punctuation
_CHAT_TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tokenizer(folder: Path) -> dict[str, int]:
    """One token a byte and one a mark; returns the vocabulary."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytewise.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        eos_token=_END_OF_TEXT,
        pad_token=_END_OF_TEXT,
        extra_special_tokens=list(_MARKS),
        model_max_length=CONTEXT_TOKENS,
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    known: dict[str, int] = tokenizer.get_vocab()
    return known


def write_model(folder: Path, vocabulary: dict[str, int], *, layers: int = 2) -> None:
    torch.manual_seed(_SEED)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT_TOKENS,
            bos_token_id=None,
            eos_token_id=vocabulary[_END_OF_TEXT],
            pad_token_id=vocabulary[_END_OF_TEXT],
            # Wide enough that one token is plainly the likeliest, whatever else is in the batch.
            initializer_range=0.1,
            tie_word_embeddings=False,
            dtype="float32",
        )
    )
    written = {vocabulary[letter] for letter in _WRITTEN}
    unwritten = [number for number in vocabulary.values() if number not in written]
    with torch.no_grad():
        model.lm_head.weight[unwritten] = 0.0
    model.save_pretrained(folder)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.models.tiny_llama")
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder: Path = parser.parse_args(words).folder
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder, write_tokenizer(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
