"""How many short tasks a second the house passes on, and what that takes from the machine."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadgen.bench.children import Build, House, house
from loadgen.bench.processes import neighbours, sampled
from loadgen.bench.sheet import Cell, Sheet, rounded
from loadgen.bench.short_tasks import endless_short_tasks
from loadgen.drivers.client import Client
from loadgen.drivers.closed_loop import play_in_turns
from loadgen.drivers.open_loop import Played
from loadgen.report.observation import Observation
from loadgen.report.statistics import nearest_rank

TARGET_PER_S: Final = 300
_SLOTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    clients: tuple[int, ...] = (4, 8, 16, 32, 64)
    step_s: float = 5.0
    sustained_s: float = 60.0

    @classmethod
    def quick(cls) -> "Effort":
        return cls(clients=(8, 32), step_s=2.0, sustained_s=10.0)


async def throughput(directory: Path, effort: Effort, *, kafka: str) -> list[Sheet]:
    busy = neighbours()
    async with (
        house(directory / "house", Build(kafka=kafka, slots=_SLOTS)) as home,
        Client.open(home.base_url) as client,
    ):
        (model, *_) = await client.models()
        ramp = [await _step(client, model, clients, effort.step_s) for clients in effort.clients]
        best = max(ramp, key=lambda row: float(row["tasks_per_s"] or 0))
        return [
            Sheet(
                title="Ramp: so many clients, each asking again when answered",
                rows=ramp,
                notes=(busy,),
            ),
            *await _sustained(home, client, model, int(best["clients"] or 1), effort.sustained_s),
        ]


async def _sustained(
    home: House, client: Client, model: str, clients: int, duration_s: float
) -> list[Sheet]:
    async with sampled(home.pids) as samples:
        row = await _step(client, model, clients, duration_s)
    return [
        Sheet(
            title=f"Sustained for {duration_s:.0f} s",
            rows=[{**row, "target_per_s": TARGET_PER_S}],
        ),
        Sheet(
            title="Processes meanwhile",
            rows=samples.rows(),
            notes=("growth: slope of resident memory after the first quarter.",),
        ),
    ]


async def _step(client: Client, model: str, clients: int, duration_s: float) -> Mapping[str, Cell]:
    played = await play_in_turns(
        client, endless_short_tasks(model), clients=clients, duration_s=duration_s
    )
    return _row(played, clients, duration_s)


def _row(played: Played, clients: int, duration_s: float) -> Mapping[str, Cell]:
    seen = played.observations
    took_s = sorted(each.e2e_s for each in seen if each.e2e_s is not None)
    return {
        "clients": clients,
        "tasks_per_s": rounded(len(took_s) / duration_s, 1),
        "lost": len(seen) - len(took_s),
        "because": _why_lost(seen),
        "e2e_p50_ms": rounded(nearest_rank(took_s, 0.5) * 1000),
        "e2e_p99_ms": rounded(nearest_rank(took_s, 0.99) * 1000),
        "sender_cpu_ms_per_task": rounded(played.sender.cpu_ms_per_request),
    }


def _why_lost(seen: Sequence[Observation]) -> str | None:
    causes = Counter(each.error or each.ending.value for each in seen if not each.is_answered())
    return ", ".join(f"{count} {cause}" for cause, count in causes.most_common()) or None
