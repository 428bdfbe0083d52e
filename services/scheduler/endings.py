"""Exactly one ending for every accepted task: settled once in Redis, then told to Kafka."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from services.scheduler.answers import Answers
from services.scheduler.measures import Measures
from services.scheduler.mirror import Mirror
from shared.domain.chain import Stage
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.fence import NO_FENCE
from shared.domain.outcome import DropReason, Outcome
from shared.domain.task import Task, TaskId
from shared.messages.bus import Bus, Position
from shared.messages.catalogue import AttemptEnded, TaskClassified, TaskEnded, TaskRevoked
from shared.messages.pool import DeadLettered
from shared.scheduling.queue import DeadlineQueue, Lease

log = logging.getLogger(__name__)

_DROPPED = {
    Outcome.SHED: DropReason.QUEUE_PRESSURE,
    Outcome.EXPIRED: DropReason.TTL_EXPIRED,
    Outcome.CANCELLED: DropReason.CONTEXT_CANCELLED,
    Outcome.SUPERSEDED: DropReason.CONTEXT_CANCELLED,
}
_RETELL_AFTER_S = 0.5
_STRIKE_EVERY_S = 0.1
_LEAST_WAIT_S = 0.5


@dataclass(slots=True, kw_only=True)
class Endings:
    queue: DeadlineQueue
    bus: Bus
    clock: Clock
    mirror: Mirror
    measures: Measures
    _telling: "asyncio.Queue[tuple[TaskEnded, Awaitable[Position] | None]]" = field(
        default_factory=asyncio.Queue
    )

    async def finish(self, task: Task, attempt: AttemptEnded) -> bool:
        """It was answered: on time or late."""
        ttft_s = (attempt.first_token_at or attempt.ended_at) - task.received_at
        e2e_s = (attempt.last_token_at or attempt.ended_at) - task.received_at
        tokens = attempt.usage.completion_tokens if attempt.usage else 0
        kept = task.promise.is_kept(ttft_s=ttft_s, e2e_s=e2e_s, output_tokens=tokens)
        ending = self._ending(task, Outcome.COMPLETED if kept else Outcome.LATE).model_copy(
            update={
                "fence": attempt.fence,
                "ttft_s": ttft_s,
                "e2e_s": e2e_s,
                "usage": attempt.usage,
                "finish_reason": attempt.finish_reason,
                "attempts": task.attempts + 1,
            }
        )
        if not await self._settle(ending, by_attempt=True):
            return False
        backlog = self.mirror.backlog
        self.mirror.settled_s += backlog.guard.work_s(task, backlog.cost)
        return True

    async def give_up(
        self,
        task: Task,
        outcome: Outcome,
        *,
        error: str | None = None,
        is_refused: bool = False,
    ) -> bool:
        """It ends without an answer; whoever runs it is told to stop.

        `is_refused`: no engine of the pool would ever take it.
        """
        accepted = self.mirror.links.accepted(task)
        if accepted is None:
            return False
        ending = self._ending(accepted, outcome).model_copy(
            update={
                "attempts": task.attempts,
                "error": error,
                "is_refused": is_refused,
                "retry_after_s": self._wait_s(task) if outcome is Outcome.SHED else None,
            }
        )
        return await self._settle(ending, by_attempt=False)

    async def finish_chain(self, chain: Task, answers: Answers, stages: tuple[Stage, ...]) -> bool:
        """All its steps were answered that had to be: on time or late."""
        last = max(answers.all, key=lambda answer: answer.ended_at)
        e2e_s = last.ended_at - chain.received_at
        usage = answers.usage()
        kept = chain.promise.is_kept(
            ttft_s=e2e_s, e2e_s=e2e_s, output_tokens=usage.completion_tokens
        )
        ending = self._ending(chain, Outcome.COMPLETED if kept else Outcome.LATE).model_copy(
            update={
                "fence": last.fence,
                "e2e_s": e2e_s,
                "usage": usage,
                "finish_reason": answers.all[-1].finish_reason,
                "attempts": len(answers.all),
                "steps": answers.told(stages),
            }
        )
        return await self._settle(ending, by_attempt=False)

    async def dead_letter(self, task: Task, reason: str) -> None:
        """It was started too often."""
        position = self.mirror.origins.get(task.accepted_id)
        await self.bus.publish(
            DeadLettered(
                source_topic=position.topic if position else TaskClassified.base_topic,
                source_partition=position.partition if position else -1,
                source_offset=position.offset if position else -1,
                reason=f"started {task.attempts} times; the last time {reason}",
                at=self.clock.now(),
                task_id=task.accepted_id,
                traceparent=task.traceparent,
            )
        )
        await self.give_up(task, Outcome.DEAD_LETTERED, error=reason)

    async def resume(self, endings: Sequence[tuple[TaskId, bytes]]) -> None:
        """Tell what an earlier leader settled and may not have told."""
        for _, encoded in endings:
            await self._tell(TaskEnded.decode(encoded))

    async def confirm(self) -> None:
        """Strike out of the outbox what Kafka has acknowledged; runs until cancelled."""
        while True:
            batch = [await self._telling.get()]
            # Nobody waits for this: a round trip for many costs what it costs for one.
            await self.clock.sleep(_STRIKE_EVERY_S)
            while not self._telling.empty():
                batch.append(self._telling.get_nowait())
            told = {ending.task_id for ending, delivery in batch if await _is_told(delivery)}
            await self._strike(tuple(told))
            await self._tell_again([ending for ending, _ in batch if ending.task_id not in told])

    async def _settle(self, ending: TaskEnded, *, by_attempt: bool) -> bool:
        fence = ending.fence if by_attempt else None
        steps = self.mirror.links.steps_of(ending.task_id)
        is_first = await self.queue.settle(ending.task_id, fence, ending.encode(), steps)
        if by_attempt and not is_first:
            return False
        # If another was first, it has ended too.
        gone = [self.mirror.forget(task_id) for task_id in (*steps, ending.task_id)]
        self.mirror.changed.set()
        if is_first:
            self.measures.ended(ending)
            await self._tell(ending)
        for held in gone:
            if held is not None and not by_attempt:
                await self.revoke(held.lease)
        return is_first

    async def revoke(self, lease: Lease) -> None:
        """Where its worker reads now: a new leader may have seated it elsewhere."""
        seat = self.mirror.fleet.seats.get(lease.worker)
        revoked = TaskRevoked(
            task_id=lease.task_id,
            fence=lease.fence,
            worker=lease.worker,
            to_partition=lease.to_partition if seat is None else seat.to_partition,
        )
        try:
            await self.bus.publish(revoked)
        except Unavailable:
            # Without Kafka no report renews the worker's lease, so it stops by itself.
            log.warning("attempt not revoked", extra={"task_id": lease.task_id})

    def _ending(self, task: Task, outcome: Outcome) -> TaskEnded:
        held = self.mirror.held.get(task.id)
        return TaskEnded(
            task_id=task.id,
            kind=task.kind,
            latency_class=task.latency_class,
            tenant=task.tenant,
            model=task.model,
            outcome=outcome,
            fence=held.lease.fence if held else NO_FENCE,
            reply_to=task.reply_to,
            received_at=task.received_at,
            ended_at=self.clock.now(),
            attempts=task.attempts,
            dropped=_DROPPED.get(outcome),
            traceparent=task.traceparent,
        )

    def _wait_s(self, task: Task) -> float:
        """Asking again makes sense once the present queue is through."""
        return max(_LEAST_WAIT_S, self.mirror.waits_s.get(task.latency_class, 0.0))

    async def _tell(self, ending: TaskEnded) -> None:
        """It is settled, so nobody will ask for this again: it is owed until Kafka has it."""
        try:
            delivery = await self.bus.publish(ending)
        except Unavailable:
            delivery = None
        self._telling.put_nowait((ending, delivery))

    async def _tell_again(self, endings: Sequence[TaskEnded]) -> None:
        """They stay in the outbox, so a crash in this pause loses nothing either."""
        if endings:
            log.warning("endings are told again", extra={"endings": len(endings)})
            await self.clock.sleep(_RETELL_AFTER_S)
        for ending in endings:
            await self._tell(ending)

    async def _strike(self, told: Sequence[TaskId]) -> None:
        try:
            await self.queue.told(told)
        except Unavailable:
            # Told again by the next leader: readers drop identical endings.
            log.warning("outbox could not be struck", extra={"endings": len(told)})


async def _is_told(delivery: Awaitable[Position] | None) -> bool:
    if delivery is None:
        return False
    try:
        await delivery
    except Unavailable:
        return False
    return True
