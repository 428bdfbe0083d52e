"""An attempt is one start of a task on this worker's engine, streamed and then told of."""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf
from typing import Final

from services.worker import measures
from services.worker.engine import Engine, EngineDied, EngineError, EngineRefused
from services.worker.rendering import job_of
from services.worker.roster import Run
from services.worker.speedometer import Recording
from services.worker.stillness import Stillness
from services.worker.token_stream import LeaseRanOut, Sender, TokensLost, TokenStream
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.outcome import Attempt
from shared.messages.bus import Bus
from shared.messages.catalogue import AttemptEnded, TaskRevoked

log = logging.getLogger(__name__)

_RETRY_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the attempt ended; None as result when nothing more may be said about it."""

    result: Attempt | None
    error: str | None = None
    death: EngineDied | None = None


@dataclass(slots=True, kw_only=True)
class Attempts:
    engine: Engine
    bus: Bus
    clock: Clock
    sender: Sender
    recording: Recording = field(default_factory=Recording)
    stillness: Stillness = field(default_factory=Stillness)

    async def stream(self, run: Run) -> Verdict:
        """Run it in the engine, sending pieces as they come."""
        if run.is_stopped():
            return _verdict(run)
        run.started_at = self.clock.now()
        measures.started(run, run.started_at)
        stream = self.sender.open(run)
        held = self.engine.load()
        try:
            await self._pump(run, stream)
            self.recording.served(run, held)
        except asyncio.CancelledError:
            if not run.is_stopped():
                raise
        except EngineRefused as error:
            self.stillness.heard()
            result = Attempt.REFUSED if error.is_permanent else Attempt.FAILED
            return Verdict(result=result, error=str(error))
        except EngineDied as error:
            return Verdict(result=Attempt.FAILED, error=str(error), death=error)
        except LeaseRanOut:
            return Verdict(result=None)
        except (EngineError, TokensLost, Unavailable) as error:
            return Verdict(result=Attempt.FAILED, error=str(error))
        finally:
            self.sender.close(stream)
        return _verdict(run)

    async def conclude(self, run: Run, verdict: Verdict) -> None:
        """Tell the scheduler, again until Kafka has it or the lease has run out."""
        measures.attempt_over(run, verdict.result, self.clock.now())
        if verdict.result is None:
            log.warning("lease ran out", extra={"task_id": run.task.id})
            return
        leased_until = inf if run.started_at is None else run.leased_until
        await self._tell(self._ended(run, verdict.result, verdict.error), leased_until)

    async def conclude_unseen(self, revoked: TaskRevoked) -> None:
        """For an attempt whose revocation came before it."""
        ended = AttemptEnded(
            task_id=revoked.task_id,
            fence=revoked.fence,
            worker=revoked.worker,
            result=Attempt.ABORTED,
            ended_at=self.clock.now(),
        )
        await self._tell(ended, inf)

    async def _tell(self, ended: AttemptEnded, leased_until: float) -> None:
        while self.clock.monotonic() < leased_until:
            try:
                await (await self.bus.publish(ended))
                return
            except Unavailable as error:
                log.warning("ending not told", extra={"task_id": ended.task_id, "why": str(error)})
                await self.clock.sleep(_RETRY_S)

    async def _pump(self, run: Run, stream: TokenStream) -> None:
        job = job_of(run.id, run.dispatched)
        async with aclosing(self.engine.generate(job)) as pieces:
            async for piece in pieces:
                self.stillness.heard()
                await stream.push(piece)
                if run.answer is not None:
                    run.answer.add(piece.text)

    def _ended(self, run: Run, result: Attempt, error: str | None) -> AttemptEnded:
        is_answered = result is Attempt.COMPLETED
        return AttemptEnded(
            task_id=run.task.id,
            fence=run.dispatched.fence,
            worker=run.dispatched.worker,
            result=result,
            ended_at=self.clock.now(),
            first_token_at=run.first_token_at,
            last_token_at=run.last_token_at,
            engine_s=run.engine_s(self.clock.now()),
            usage=run.usage,
            finish_reason=run.finish_reason,
            error=error,
            output="".join(run.answer.texts) if is_answered and run.answer is not None else None,
        )


def _verdict(run: Run) -> Verdict:
    """Of a stream that ended by itself, or because somebody stopped it."""
    if run.finish_reason is not None:
        return Verdict(result=Attempt.COMPLETED)
    if run.is_stopped():
        return Verdict(result=run.stopped_as, error=run.stopped_because)
    return Verdict(result=Attempt.FAILED, error="the engine ended the answer before its end")
