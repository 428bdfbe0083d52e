"""Nobody who types knows how busy the house is: requests go out when planned, answered or not."""

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.drivers.asking import Request
from loadgen.drivers.client import Client, Sent
from loadgen.drivers.progress import Tally
from loadgen.report.document import Sender
from loadgen.report.observation import Observation
from loadgen.report.statistics import nearest_rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    observations: tuple[Observation, ...]
    sender: Sender


@dataclass(frozen=True, slots=True)
class CpuMeter:
    """What this process spends on a run, so that nobody takes the sender for the house."""

    before_s: float

    @classmethod
    def start(cls) -> "CpuMeter":
        return cls(_cpu_s())

    def played(self, sent: Sequence[Sent]) -> Played:
        spent_s = _cpu_s() - self.before_s
        late_s = sorted(each.late_s for each in sent) or [0.0]
        return Played(
            observations=tuple(each.observation for each in sent),
            sender=Sender(
                late_p50_s=nearest_rank(late_s, 0.5),
                late_p99_s=nearest_rank(late_s, 0.99),
                cpu_ms_per_request=spent_s * 1000 / max(1, len(sent)),
            ),
        )


async def play(client: Client, requests: Sequence[Request], tally: Tally) -> Played:
    """All instants are planned on one clock from one beginning, so that delays never add up."""
    cpu = CpuMeter.start()
    began_at = client.clock.monotonic()
    async with asyncio.TaskGroup() as group:
        sending = []
        for request in requests:
            planned_at = began_at + request.at_s
            # Even when behind: what was planned before must get its turn to go out.
            await asyncio.sleep(max(0.0, planned_at - client.clock.monotonic()))
            tally.sent += 1
            sending.append(group.create_task(_send(client, request, planned_at, began_at, tally)))
    return cpu.played([each.result() for each in sending])


async def _send(
    client: Client, request: Request, planned_at: float, began_at: float, tally: Tally
) -> Sent:
    sent = await client.send(request, planned_at=planned_at, began_at=began_at)
    tally.ended += 1
    tally.on_time += sent.observation.is_kept()
    return sent


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
