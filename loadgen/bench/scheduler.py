"""What a longer queue costs the scheduler: in Redis per task, and in memory per step."""

import json
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from loadgen.bench import children
from loadgen.bench.consumption import cpu_s
from loadgen.bench.sheet import Cell, Sheet, rounded
from loadgen.report.statistics import nearest_rank
from shared.adapters.clock import SystemClock
from shared.adapters.profiles import load_profile
from shared.adapters.redis_connection import connect_redis
from shared.adapters.redis_queue import RedisDeadlineQueue
from shared.domain.task import Prediction, ReplyAddress, Task, TaskId
from shared.scheduling.backlog import Backlog
from shared.scheduling.cost import Cost
from shared.scheduling.plan import plan
from shared.scheduling.policies import POLICIES
from shared.scheduling.policy import Begun, WorkerView
from shared.scheduling.queue import Claim, Entry
from shared.tasks import TASKS

_FILL_AT_ONCE: Final = 500
_WORKERS: Final = 64
_FREE_SLOTS: Final = 4
_HELD: Final = 4
_STARVATION_S: Final = 60.0
_COMPANY: Final = 8
_LIMIT_S: Final = 30.0
_BODY: Final = json.dumps({"route": "completions", "prompt": "x = 1\n" * 80}).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    queued: tuple[int, ...] = (1_000, 10_000, 100_000)
    planned: tuple[int, ...] = (10_000, 100_000)
    repetitions: int = 300
    plans: int = 50

    @classmethod
    def quick(cls) -> "Effort":
        return cls(queued=(1_000, 10_000), planned=(10_000,), repetitions=100, plans=10)


async def scheduler(directory: Path, effort: Effort) -> list[Sheet]:
    return [await _in_redis(directory, effort), _in_memory(effort)]


async def _in_redis(directory: Path, effort: Effort) -> Sheet:
    async with children.redis(directory) as url:
        redis = connect_redis(url, limit_s=_LIMIT_S)
        try:
            queue = RedisDeadlineQueue(redis, "bench")
            await queue.open(1)
            await queue.seal()
            rows = await _grow(queue, effort)
        finally:
            await redis.aclose()
    return Sheet(
        title="Put and claim of one task in Redis, one at a time",
        rows=rows,
        notes=("growth: median of put + claim against the row above; 10 times as many tasks.",),
    )


async def _grow(queue: RedisDeadlineQueue, effort: Effort) -> list[Mapping[str, Cell]]:
    rows: list[Mapping[str, Cell]] = []
    tasks = _tasks(Random(1))
    queued = 0
    before_ms: float | None = None
    for size in effort.queued:
        while queued < size:
            entries = [_entry(next(tasks)) for _ in range(min(_FILL_AT_ONCE, size - queued))]
            await queue.put(entries)
            queued += len(entries)
        row = await _put_and_claim(queue, tasks, effort.repetitions)
        both_ms = float(row["put_p50_ms"] or 0) + float(row["claim_p50_ms"] or 0)
        growth = both_ms / before_ms if before_ms else None
        rows.append({"queued": size, **row, "growth": rounded(growth, 2)})
        before_ms = both_ms
    return rows


async def _put_and_claim(
    queue: RedisDeadlineQueue, tasks: Iterator[Task], repetitions: int
) -> Mapping[str, Cell]:
    """What is put is claimed and settled again, so that the queue keeps its length."""
    clock = SystemClock()
    put_ms, claim_ms = [], []
    for _ in range(repetitions):
        task = next(tasks)
        claim = Claim(task_id=task.id, worker="worker-1/1", to_partition=0, at=clock.now())
        put_ms.append(await _took_ms(clock, queue.put([_entry(task)])))
        claim_ms.append(await _took_ms(clock, queue.claim([claim])))
        await queue.settle(task.id, None, b"{}")
        await queue.told([task.id])
    return {**_spread("put", put_ms), **_spread("claim", claim_ms)}


async def _took_ms(clock: SystemClock, act: Awaitable[object]) -> float:
    began = clock.monotonic()
    await act
    return (clock.monotonic() - began) * 1000


def _in_memory(effort: Effort) -> Sheet:
    rows = [_planned(name, size, effort.plans) for name in POLICIES for size in effort.planned]
    worst = max(rows, key=lambda row: float(row["plan_p50_ms"] or 0))
    return Sheet(
        title=f"One plan() for {_WORKERS} workers with {_FREE_SLOTS} free slots each",
        rows=rows,
        notes=(
            "add: putting one task in its place; plan: deciding who starts where; of CPU.",
            f"starved: all have waited for longer than {_STARVATION_S:.0f} s.",
            f"the slowest: {worst['policy']} over {worst['queued']:,}, {worst['plan_p50_ms']} ms.",
        ),
    )


def _planned(policy: str, size: int, plans: int) -> Mapping[str, Cell]:
    cost = Cost(profile=load_profile("reference"), company=_COMPANY)
    backlog = Backlog(policy=POLICIES[policy](), cost=cost)
    tasks = list(islice(_tasks(Random(1)), size))
    fleet = [
        WorkerView(
            name=f"worker-{i}/1",
            to_partition=i,
            slots=_HELD + _FREE_SLOTS,
            held=_HELD,
            tasks=[Begun(task, 0.0) for task in tasks[:_HELD]],
        )
        for i in range(_WORKERS)
    ]
    began_s = cpu_s()
    for task in tasks:
        backlog.add(task)
    add_ms = (cpu_s() - began_s) * 1000 / size

    def plan_ms(now: float) -> Iterator[float]:
        for _ in range(plans):
            began_s = cpu_s()
            plan(backlog, fleet, now=now, starvation_s=_STARVATION_S)
            yield (cpu_s() - began_s) * 1000

    return {
        "policy": policy,
        "queued": size,
        "add_ms": rounded(add_ms, 4),
        **_spread("plan", list(plan_ms(1.0))),
        **_spread("starved", list(plan_ms(2 * _STARVATION_S))),
    }


def _spread(name: str, took_ms: Sequence[float]) -> Mapping[str, Cell]:
    ordered = sorted(took_ms)
    return {
        f"{name}_p50_ms": rounded(nearest_rank(ordered, 0.5)),
        f"{name}_p99_ms": rounded(nearest_rank(ordered, 0.99)),
    }


def _entry(task: Task) -> Entry:
    return Entry(task=task, body=_BODY)


def _tasks(rng: Random) -> Iterator[Task]:
    """Every kind that carries a promise, received within one second."""
    promised = [task for task in TASKS.values() if task.useful_s is not None]
    number = 0
    while True:
        number += 1
        kind = rng.choice(promised)
        yield Task(
            id=TaskId(f"task-{number}"),
            kind=kind.name,
            latency_class=kind.latency_class,
            model="bench",
            tenant="tenant-1",
            received_at=rng.random(),
            promise=kind.promise,
            useful_s=None,
            prediction=Prediction(
                prompt_tokens=rng.randint(16, 8_000),
                output_tokens_p50=kind.prior.output_tokens_p50,
                output_tokens_p90=kind.prior.output_tokens_p90,
            ),
            reply_to=ReplyAddress(0, "bench"),
        )
