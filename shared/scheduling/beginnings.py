"""How a prompt begins, as numbers: prompts that begin alike have the first of them in common.

Cache-aware routers hash each block of a prompt, thousands of numbers for a long one. Here one
number stands for each of a few beginnings, each a quarter longer than the one before, so that at
most a fifth of what two prompts share goes unseen and a record grows by some 200 bytes at most.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final
from zlib import crc32

from shared.domain.task import BYTES_PER_TOKEN

# A shorter one saves less than it would cost to wait for.
_SHORTEST_BYTES: Final = 1024
_GROWTH: Final = 1.25
# Up to 56 kB, about 17,000 tokens.
_LENGTHS: Final = tuple(round(_SHORTEST_BYTES * _GROWTH**place) for place in range(19))
# What each is expected to be for an engine.
TOKENS: Final = tuple(int(length / BYTES_PER_TOKEN) for length in _LENGTHS)


def beginnings(texts: Iterable[str], *, salt: str) -> tuple[int, ...]:
    """A CRC-32 for each beginning that the texts together have, the shortest first.

    `salt` stands for what a template puts before them.
    """
    begun = "\n".join(texts)[: _LENGTHS[-1]].encode("utf-8", "replace")
    digest, digests = crc32(salt.encode()), []
    for begin, end in pairwise((0, *_LENGTHS)):
        if end > len(begun):
            break
        digest = crc32(begun[begin:end], digest)
        digests.append(digest)
    return tuple(digests)
