"""Where no model runs, an answer is made up: plainly synthetic, and the same for the same job."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from math import exp, log
from statistics import NormalDist
from typing import Final

from services.worker.engine import Job
from shared.domain.task import Prediction
from shared.tasks import TASKS

# Code has about this many characters a token.
_CHARS_A_TOKEN: Final = 4
_NORMAL: Final = NormalDist()
# Turns p90 over p50 into sigma.
_Z90: Final = _NORMAL.inv_cdf(0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLengths:
    """What a job really takes: known to the simulated engine alone."""

    prompt_tokens: int
    output_tokens: int


def true_lengths(job: Job) -> TrueLengths:
    """Drawn from the kind's lognormal by the job's content; `ignore_eos` fills max_tokens."""
    body = job.body
    text = body.text()
    limit = max(1, body.max_tokens)
    is_endless = body.extra.get("ignore_eos") is True
    drawn = limit if is_endless else _drawn(prior_of(job), content_hash(text))
    return TrueLengths(
        prompt_tokens=max(1, len(text) // _CHARS_A_TOKEN), output_tokens=min(limit, drawn)
    )


def prior_of(job: Job) -> Prediction:
    known = TASKS.get(job.kind)
    return job.prediction if known is None else known.prior


def content_hash(text: str) -> int:
    # Lone surrogates are refused at the door, but an engine is also tried without a door.
    raw = text.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest())


def synthetic_tokens(seed: int) -> Iterator[str]:
    """Assignments without sense; they parse as Python."""
    for line in count(seed % 997):
        yield f"synthetic_{line}"
        yield " = "
        yield f"synthetic_{line - 1}"
        yield "("
        yield f"{line * seed % 89}"
        yield ")\n"


def _drawn(prior: Prediction, hashed: int) -> int:
    median = max(1, prior.output_tokens_p50)
    sigma = log(max(1.0, prior.output_tokens_p90 / median)) / _Z90
    # 53 bits, so that the share lies strictly between 0 and 1 as a float, too.
    share = ((hashed >> 11) + 0.5) / 2**53
    return max(1, round(median * exp(sigma * _NORMAL.inv_cdf(share))))
