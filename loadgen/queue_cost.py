"""A deadline queue must not grow slow when it grows long."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import quantiles
from typing import Final

from shared.domain.clock import Clock
from shared.domain.task import LatencyClass, Prediction, Promise, ReplyAddress, Task, TaskId
from shared.scheduling.queue import Claim, DeadlineQueue, Entry

_FILL: Final = 500
_WITHIN_S: Final = 3600.0

# What a completion of the reference mix weighs on the wire, about 5 KB.
_BODY: Final = b'{"prompt":"' + b"def walk(tree, depth):\\n    " * 180 + b'"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCost:
    """Wall time per task, put and claimed in batches while `waiting` others wait."""

    waiting: int
    batch: int
    put_p50_s: float
    put_p99_s: float
    claim_p50_s: float
    claim_p99_s: float


@dataclass(slots=True, kw_only=True)
class QueueProbe:
    """Fills a queue that is open and empty, and measures it on the way."""

    queue: DeadlineQueue
    clock: Clock
    random: Random
    _made: int = field(default=0, init=False)
    _waiting: int = field(default=0, init=False)

    async def cost(self, waiting: int, *, rounds: int, batch: int = 1) -> QueueCost:
        """`waiting` may only grow from one call to the next."""
        await self._fill(waiting)
        took = [await self._round(batch) for _ in range(rounds)]
        puts, claims = (
            quantiles((x / batch for x in each), n=100) for each in zip(*took, strict=True)
        )
        return QueueCost(
            waiting=waiting,
            batch=batch,
            put_p50_s=puts[49],
            put_p99_s=puts[98],
            claim_p50_s=claims[49],
            claim_p99_s=claims[98],
        )

    async def _fill(self, waiting: int) -> None:
        while self._waiting < waiting:
            entries = self._entries(min(_FILL, waiting - self._waiting))
            await self.queue.put(entries)
            self._waiting += len(entries)

    async def _round(self, batch: int) -> tuple[float, float]:
        """Seconds for the put and for the claim; what was put is gone again afterwards."""
        entries = self._entries(batch)
        claims = [_claim(entry.task) for entry in entries]
        began = self.clock.monotonic()
        await self.queue.put(entries)
        put = self.clock.monotonic()
        await self.queue.claim(claims)
        claimed = self.clock.monotonic()
        for entry in entries:
            await self.queue.settle(entry.task.id, None, b"{}")
        await self.queue.told([entry.task.id for entry in entries])
        return put - began, claimed - put

    def _entries(self, count: int) -> Sequence[Entry]:
        return [Entry(task=self._task(), body=_BODY) for _ in range(count)]

    def _task(self) -> Task:
        self._made += 1
        return Task(
            id=TaskId(f"{self._made:032x}"),
            kind="completion",
            latency_class=LatencyClass.TTFT,
            model="probe",
            tenant="probe",
            received_at=self.clock.now() + self.random.uniform(0, _WITHIN_S),
            promise=Promise(ttft_s=0.3),
            useful_s=0.3,
            prediction=Prediction(prompt_tokens=1400, output_tokens_p50=14, output_tokens_p90=40),
            reply_to=ReplyAddress(0, "probe"),
        )


def _claim(task: Task) -> Claim:
    return Claim(task_id=task.id, worker="probe/0", to_partition=0, at=task.received_at)
