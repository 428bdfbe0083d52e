"""A byte-level vocabulary of its own: every text has tokens, and common code has few."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from deploy.models.architecture import MARKS

# Indentation is one token and a newline another, so that a prompt may end in either.
_PIECES = Regex(r"(?<=\n) +| ?\w+| ?[^\s\w]+| +|\s")


def mark(tokenizer: Tokenizer, name: str) -> int:
    """Raises KeyError when the vocabulary lacks it."""
    return tokenizer.get_vocab()[name]


def learned_from(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
