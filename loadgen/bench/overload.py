"""Ten times what the house can do: it must refuse most, keep what it accepts, and stay small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from loadgen.bench.children import Build, House, house
from loadgen.bench.processes import sampled
from loadgen.bench.sheet import Cell, Sheet, rounded
from loadgen.drivers.asking import Manner, Request
from loadgen.drivers.client import Client
from loadgen.drivers.open_loop import Played, play
from loadgen.drivers.progress import Tally
from loadgen.report.observation import Ending, Observation
from loadgen.report.statistics import nearest_rank, ratio
from loadgen.report.tally import figures_of
from loadgen.simulator.capacity import capacity_per_s
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.arrivals import poisson
from loadgen.workloads.corpus import Corpus, Prompt
from loadgen.workloads.mixes import REFERENCE, ROUTES, SUMMARIZATION
from loadgen.workloads.workload import Crowd, build
from shared.adapters.profiles import load_profile

_TIMES: Final = 10
_WORKERS: Final = 2
_PROFILE: Final = "reference"
_LARGE_BYTES: Final = 256 * 1024
_SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    duration_s: float = 30.0

    @classmethod
    def quick(cls) -> "Effort":
        return cls(duration_s=8.0)


async def overload(directory: Path, effort: Effort, *, kafka: str) -> list[Sheet]:
    built = Build(kafka=kafka, profile=_PROFILE, workers=_WORKERS)
    async with (
        house(directory / "house", built) as home,
        Client.open(home.base_url) as client,
    ):
        (model, *_) = await client.models()
        manner = Manner(model=model, alone=load_profile(_PROFILE))
        return await _overloaded(home, client, manner, effort.duration_s)


async def _overloaded(
    home: House, client: Client, manner: Manner, duration_s: float
) -> list[Sheet]:
    rate = _TIMES * _WORKERS * capacity_per_s(manner.alone, REFERENCE)
    requests = _requests(manner, rate, duration_s)
    async with sampled(home.pids) as samples:
        played = await play(client, requests, Tally(total=len(requests)))
    large = _large(manner)
    after = await play(client, [large], Tally(total=1))
    return [
        Sheet(
            title=f"{rate:.0f} requests a second for {duration_s:.0f} s: refused",
            rows=[_refused(played)],
        ),
        Sheet(
            title="Accepted: all that were not refused at the door or given up under load",
            rows=[_accepted(played, duration_s)],
        ),
        Sheet(title="A prompt of 256 KiB afterwards", rows=[_single(after.observations[0], large)]),
        Sheet(title="Processes meanwhile", rows=samples.rows()),
    ]


def _requests(manner: Manner, rate: float, duration_s: float) -> list[Request]:
    corpus = Corpus.of_standard_library()
    times = poisson(rate, duration_s, Random(f"{_SEED}/overload"))
    arrivals = build(REFERENCE, times, _SEED, Crowd(typing=None))
    return [manner.ask(arrival, corpus.render(arrival)) for arrival in arrivals]


def _refused(played: Played) -> Mapping[str, Cell]:
    seen = played.observations
    shed = [each for each in seen if each.ending is Ending.SHED]
    waits_s = sorted(each.retry_after_s for each in shed if each.retry_after_s is not None)
    return {
        "sent": len(seen),
        "refused": len(shed),
        "refused_share": rounded(ratio(len(shed), len(seen))),
        "told_when": rounded(ratio(len(waits_s), len(shed))),
        "retry_after_p50_s": _rank(waits_s, 0.5),
        "retry_after_p99_s": _rank(waits_s, 0.99),
        "sender_late_p99_ms": rounded(played.sender.late_p99_s * 1000),
    }


def _accepted(played: Played, duration_s: float) -> Mapping[str, Cell]:
    accepted = [each for each in played.observations if each.ending is not Ending.SHED]
    kept = figures_of(accepted, duration_s=duration_s).total
    return {
        "accepted": len(accepted),
        "on_time": kept.on_time,
        "attainment": rounded(kept.attainment),
        "goodput_per_s": rounded(kept.goodput_per_s, 2),
        "late": kept.late,
        "expired": kept.expired,
        "errors": kept.errors,
    }


def _rank(ordered: Sequence[float], share: float) -> float | None:
    return rounded(nearest_rank(ordered, share)) if ordered else None


def _large(manner: Manner) -> Request:
    """Control characters: as JSON each takes six bytes, the worst a prompt can do to a record."""
    arrival = Arrival(
        at_s=0.0,
        kind=SUMMARIZATION,
        route=ROUTES[SUMMARIZATION],
        prompt_tokens=_LARGE_BYTES // 4,
        output_tokens=8,
        tenant="tenant-1",
        cut=0,
        seed=_SEED,
        batch=True,
    )
    return manner.ask(arrival, Prompt(text="\x01" * _LARGE_BYTES))


def _single(seen: Observation, request: Request) -> Mapping[str, Cell]:
    return {
        "sent_bytes": len(request.body),
        "ending": seen.ending.value,
        "error": seen.error,
        "e2e_s": rounded(seen.e2e_s),
    }
