"""Arrivals as the scheduler meets them: classified, with a promise and a guess at their length."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from zlib import crc32

from loadgen.workloads.arrival import Arrival
from shared.domain.task import Prediction, ReplyAddress, Task, TaskId
from shared.scheduling.beginnings import TOKENS
from shared.tasks import TASKS

_HERE: Final = ReplyAddress(0, "loadgen")
_MODEL: Final = "simulated"

Guess = Callable[[Arrival, Prediction], Prediction]


def by_kind(arrival: Arrival, prior: Prediction) -> Prediction:
    """The prompt has been counted; of the answer only what its kind is like is known."""
    return Prediction(
        prompt_tokens=arrival.prompt_tokens,
        output_tokens_p50=prior.output_tokens_p50,
        output_tokens_p90=prior.output_tokens_p90,
    )


def usual(arrivals: Iterable[Arrival]) -> Guess:
    """As `by_kind`, where answers are not as long as those that the priors were made of: a house
    that learns lengths online knows after some hundred answers what they are like."""
    tokens: defaultdict[str, list[int]] = defaultdict(list)
    for arrival in arrivals:
        tokens[arrival.kind].append(arrival.output_tokens)
    quantiles = {
        kind: (ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10])
        for kind, ordered in ((kind, sorted(each)) for kind, each in tokens.items())
    }

    def guess(arrival: Arrival, prior: Prediction) -> Prediction:
        p50, p90 = quantiles[arrival.kind]
        return Prediction(
            prompt_tokens=arrival.prompt_tokens, output_tokens_p50=p50, output_tokens_p90=p90
        )

    return guess


def as_asked(arrival: Arrival, prior: Prediction) -> Prediction:
    """As `by_kind`, by a client that asks for no more tokens than it will get."""
    guessed = by_kind(arrival, prior)
    return Prediction(
        prompt_tokens=guessed.prompt_tokens,
        output_tokens_p50=min(guessed.output_tokens_p50, arrival.output_tokens),
        output_tokens_p90=min(guessed.output_tokens_p90, arrival.output_tokens),
    )


def knowing(arrival: Arrival, prior: Prediction) -> Prediction:
    """The true lengths."""
    return Prediction(
        prompt_tokens=arrival.prompt_tokens,
        output_tokens_p50=arrival.output_tokens,
        output_tokens_p90=arrival.output_tokens,
    )


def tasks(
    arrivals: Iterable[Arrival], *, guess: Guess = by_kind, prefix_share: float = 0.0
) -> Iterator[tuple[Arrival, Task]]:
    """`prefix_share` of an editor's prompt is how its next one begins."""
    for number, arrival in enumerate(arrivals):
        coding = TASKS["batch" if arrival.batch else arrival.kind]
        yield (
            arrival,
            Task(
                id=TaskId(f"task-{number}"),
                kind=coding.name,
                latency_class=coding.latency_class,
                model=_MODEL,
                tenant=arrival.tenant,
                received_at=arrival.at_s,
                promise=coding.promise,
                useful_s=coding.useful_s,
                prediction=guess(arrival, coding.prior),
                reply_to=_HERE,
                session=arrival.session,
                supersedes=arrival.superseded,
                beginnings=_beginnings(arrival, prefix_share) if prefix_share else (),
            ),
        )


def _beginnings(arrival: Arrival, prefix_share: float) -> tuple[int, ...]:
    """Arrivals have no texts, but are known to come from the same place of one."""
    if arrival.session is None:
        return ()
    shared = prefix_share * arrival.prompt_tokens
    return tuple(crc32(b"%d/%d" % (arrival.cut, tokens)) for tokens in TOKENS if tokens <= shared)
