"""The deadline queue in Redis: every act is one atomic script, every batch one round trip.

Two rules make an act safe to repeat: its epoch must be the newest that Redis knows, and it carries
a ticket, so that a repetition after a lost answer is recognised and answered as the first time.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar, cast

from redis.exceptions import RedisError

from shared.adapters.queue_keys import QueueKeys
from shared.adapters.queue_records import (
    decode_body,
    decode_lease,
    decode_task,
    encode_body,
    encode_claim,
    encode_lease,
    encode_task,
)
from shared.adapters.queue_tickets import Tickets
from shared.adapters.redis_connection import (
    BoundedRedis,
    Call,
    Scripts,
    as_unavailable,
    source_of,
    translated,
)
from shared.domain.errors import Deposed, Unavailable
from shared.domain.fence import Fence
from shared.domain.task import Task, TaskId
from shared.scheduling.queue import Claim, Entry, Lease, Put, Snapshot

_FREE_ACTS: Final = ("elect", "open", "resign")
_ACTS_OF_THE_LEADER: Final = (
    "adopt",
    "bar",
    "claim",
    "keep",
    "put",
    "requeue",
    "seal",
    "settle",
    "told",
)

# Small enough that neither Redis nor this process stands still for more than some milliseconds.
_CHUNK = 500

_Item = TypeVar("_Item")


class RedisDeadlineQueue:
    """Redis' memory has a limit, and so have bodies: one older than `body_ttl_s` is gone.

    A task without a body cannot be claimed. After Unavailable an act may or may not have happened;
    repeat it, here or by `open`.
    """

    def __init__(
        self,
        redis: BoundedRedis,
        model: str,
        *,
        remember_s: float = 900,
        body_ttl_s: float = 86_400,
    ) -> None:
        self._redis = redis
        self._keys = QueueKeys(model)
        self._remember_s = _whole(remember_s)
        self._body_ttl_s = _whole(body_ttl_s)
        self._free = Scripts(redis, _FREE_ACTS)
        self._guarded = Scripts(redis, _ACTS_OF_THE_LEADER, guard=source_of("epoch"))
        self._epoch = -1
        self._tickets = Tickets()

    async def elect(self, candidate: str, ttl_s: float) -> bool:
        arguments = (candidate, round(ttl_s * 1000))
        return bool(await self._free.call("elect", [self._keys.leader], arguments))

    async def resign(self, candidate: str) -> None:
        await self._free.call("resign", [self._keys.leader], [candidate])

    async def open(self, epoch: int) -> Snapshot:
        if not await self._free.call("open", [self._keys.epoch], [epoch]):
            raise Deposed(f"epoch {epoch} is over: a newer one has begun")
        self._epoch = epoch
        self._tickets = Tickets()
        tasks = {TaskId(i): task async for i, task in self._read(self._keys.facts, decode_task)}
        leases = {i: record async for i, record in self._read(self._keys.leases, bytes)}
        endings = {TaskId(i): ending async for i, ending in self._read(self._keys.endings, bytes)}
        return Snapshot(
            waiting=tuple(task for i, task in tasks.items() if i not in leases),
            running=tuple(
                (tasks[TaskId(i)], decode_lease(TaskId(i), record))
                for i, record in leases.items()
                if i in tasks
            ),
            endings=tuple(endings.items()),
            is_intact=await self.is_intact(),
            answers={i: await self._answers(i) for i, task in tasks.items() if task.stages},
        )

    async def is_intact(self) -> bool:
        with translated():
            seal = await self._redis.get(self._keys.seal)
        return seal is not None and seal == (await self._run_id()).encode()

    async def seal(self) -> None:
        run_id = await self._run_id()
        await self._act([("seal", [self._keys.epoch, self._keys.seal], [self._epoch, run_id])])

    async def put(self, entries: Sequence[Entry]) -> Sequence[Put]:
        ids = [entry.task.id for entry in entries]
        with self._tickets.of("put", ids) as tickets:
            answers = await self._act(map(self._put, entries, tickets))
        return [Put(cast(bytes, answer).decode()) for answer in answers]

    async def claim(self, claims: Sequence[Claim]) -> Sequence[tuple[Lease, bytes] | None]:
        ids = [claim.task_id for claim in claims]
        with self._tickets.of("claim", ids) as tickets:
            answers = await self._act(map(self._claim, claims, tickets))
        return [_leased(i, answer) for i, answer in zip(ids, answers, strict=True)]

    async def adopt(self, entry: Entry, lease: Lease) -> bool:
        with self._tickets.of("adopt", [lease.task_id]) as (ticket,):
            (answer,) = await self._act([self._adopt(entry, lease, ticket)])
        return bool(answer)

    async def body(self, task_id: TaskId) -> bytes | None:
        with translated():
            record = await self._redis.get(self._keys.body(task_id))
        return None if record is None else decode_body(cast(bytes, record))

    async def requeue(self, task: Task, fence: Fence) -> bool:
        with self._tickets.of("requeue", [task.id]) as (ticket,):
            (answer,) = await self._act([self._requeue(task, fence, ticket)])
        return bool(answer)

    async def keep(self, step: Task, fence: Fence, answer: bytes) -> Mapping[TaskId, bytes] | None:
        keys, of_chain = self._keys, self._keys.answers(step.accepted_id)
        places = [keys.epoch, keys.facts, keys.leases, keys.body(step.id), of_chain]
        act = (self._epoch, step.id, str(fence), encode_body(answer), self._body_ttl_s)
        (kept,) = await self._act([("keep", places, act)])
        if kept is None:
            return None
        pairs = iter(cast(list[bytes], kept))
        return {TaskId(i.decode()): decode_body(body) for i, body in zip(pairs, pairs, strict=True)}

    async def settle(
        self, task_id: TaskId, fence: Fence | None, ending: bytes, steps: Sequence[TaskId] = ()
    ) -> bool:
        with self._tickets.of("settle", [task_id]) as (ticket,):
            (answer,) = await self._act([self._settle(task_id, fence, ending, steps, ticket)])
        return bool(answer)

    async def told(self, task_ids: Sequence[TaskId]) -> None:
        keys = [self._keys.epoch, self._keys.endings]
        chunks = (task_ids[at : at + _CHUNK] for at in range(0, len(task_ids), _CHUNK))
        await self._act(("told", keys, [self._epoch, *ids]) for ids in chunks)

    async def bar(self, task_id: TaskId) -> None:
        keys = [self._keys.epoch, self._keys.barred(task_id)]
        await self._act([("bar", keys, [self._epoch, self._remember_s])])

    def _put(self, entry: Entry, ticket: str) -> Call:
        task, keys = entry.task, self._keys
        record, body = encode_task(task, ticket), encode_body(entry.body)
        return (
            "put",
            [
                *(keys.epoch, keys.heap(task.latency_class), keys.facts, keys.body(task.id)),
                *(keys.ended(task.accepted_id), keys.barred(task.accepted_id)),
            ],
            [self._epoch, task.id, task.deadline_at, record, body, self._body_ttl_s],
        )

    def _claim(self, claim: Claim, ticket: str) -> Call:
        keys, task_id = self._keys, claim.task_id
        return (
            "claim",
            [keys.epoch, keys.fence, keys.leases, keys.body(task_id), *keys.heaps],
            [self._epoch, task_id, ticket, encode_claim(claim, ticket)],
        )

    def _adopt(self, entry: Entry, lease: Lease, ticket: str) -> Call:
        keys, task = self._keys, entry.task
        record, body = encode_task(task, ticket), encode_body(entry.body)
        return (
            "adopt",
            [
                *(keys.epoch, keys.facts, keys.leases, keys.body(task.id)),
                *(keys.ended(task.id), *keys.heaps),
            ],
            [self._epoch, task.id, record, encode_lease(lease, ticket), body, self._body_ttl_s],
        )

    def _requeue(self, task: Task, fence: Fence, ticket: str) -> Call:
        keys, record = self._keys, encode_task(task, ticket)
        heap, body = keys.heap(task.latency_class), keys.body(task.id)
        return (
            "requeue",
            [keys.epoch, heap, keys.facts, keys.leases, body],
            [self._epoch, task.id, str(fence), task.deadline_at, record, self._body_ttl_s],
        )

    def _settle(
        self,
        task_id: TaskId,
        fence: Fence | None,
        ending: bytes,
        steps: Sequence[TaskId],
        ticket: str,
    ) -> Call:
        keys, held = self._keys, "" if fence is None else str(fence)
        mine = (keys.ended(task_id), keys.barred(task_id), *keys.heaps)
        beside = (keys.answers(task_id), keys.body(task_id), *map(keys.body, steps))
        return (
            "settle",
            [keys.epoch, keys.facts, keys.leases, keys.endings, *mine, *beside],
            [self._epoch, task_id, held, ending, ticket, self._remember_s, *steps],
        )

    async def _act(self, calls: Iterable[Call]) -> Sequence[object]:
        answers = await self._guarded.call_all(calls)
        for answer in answers:
            if isinstance(answer, RedisError):
                raise self._refused(answer)
        return answers

    def _refused(self, error: RedisError) -> Exception:
        if "STALE" in str(error):
            return Deposed(f"epoch {self._epoch} is over: a newer one has begun")
        if "LOST" in str(error):
            return Unavailable(
                "Redis has lost this queue; open a new epoch, then bring back its tasks"
            )
        return as_unavailable(error)

    async def _read(
        self, key: str, decode: Callable[[bytes], _Item]
    ) -> AsyncIterator[tuple[str, _Item]]:
        """In chunks, because a hash of 100,000 would hold up Redis, and decoding it this loop."""
        cursor = 0
        while True:
            with translated():
                cursor, chunk = await self._redis.hscan(key, cursor, count=_CHUNK)
            for field, record in cast(Mapping[bytes, bytes], chunk).items():
                yield field.decode(), decode(record)
            if cursor == 0:
                return

    async def _answers(self, chain: TaskId) -> Mapping[TaskId, bytes]:
        key = self._keys.answers(chain)
        return {TaskId(i): answer async for i, answer in self._read(key, decode_body)}

    async def _run_id(self) -> str:
        with translated():
            return str((await self._redis.info("server"))["run_id"])


def _leased(task_id: TaskId, answer: object) -> tuple[Lease, bytes] | None:
    if answer is None:
        return None
    lease, body = cast(list[bytes], answer)
    return decode_lease(task_id, lease), decode_body(body)


def _whole(duration_s: float) -> int:
    """Redis counts a time to live in whole seconds, and refuses none at all."""
    return max(1, round(duration_s))
