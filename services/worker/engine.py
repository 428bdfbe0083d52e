"""An engine turns one job into a stream of pieces; this is all a worker knows of any engine.

EngineError
├── EngineUnavailable   not reachable, silent, or broke off; another attempt may succeed
├── EngineRefused       it said no; `is_permanent` when the same job can never succeed there
└── EngineDied          it is gone, and everything that ran on it
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import NewType, Protocol, runtime_checkable

from shared.domain.errors import CatoError
from shared.domain.outcome import FinishReason
from shared.domain.task import Prediction, Promise
from shared.messages.body import Body
from shared.messages.catalogue import Usage
from shared.messages.logprobs import TokenLogprob
from shared.messages.pool import EngineLoad
from shared.scheduling.step_time import EngineProfile

# Of one attempt: two attempts of one task may meet in an engine.
JobId = NewType("JobId", str)


class EngineError(CatoError):
    """The job got no complete answer; the subclass says whether to try again."""


class EngineUnavailable(EngineError):
    """Not this time: the worker reports the attempt as failed, and may take the next one."""


class EngineRefused(EngineError):
    def __init__(self, message: str, *, is_permanent: bool, status: int) -> None:
        self.is_permanent = is_permanent
        self.status = status
        super().__init__(message)


class EngineDied(EngineError):
    """The worker ends its attempts as failed and leaves, so that it is started anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt as the engine sees it: a body of the completions or the chat route.

    The promise counts from `received_at`. Of its prompt the engine is believed to have kept
    `cached_tokens` from others.
    """

    id: JobId
    kind: str
    body: Body
    prediction: Prediction
    cached_tokens: int = 0
    priority: int = 0
    promise: Promise = field(default_factory=Promise)
    received_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The next part of an answer; the last one has `finish_reason` and `usage`.

    `delta` is JSON of what is not text (tool calls). Synthetic pieces were made up by no model.
    Where the body asks for `logprobs`, an answer has one for each of its tokens, or is refused.
    """

    text: str = ""
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    delta: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    is_synthetic: bool = False


class Engine(Protocol):
    """Started before the first job, stopped after the last one."""

    @property
    def profile(self) -> EngineProfile: ...

    @property
    def context_tokens(self) -> int | None:
        """Of prompt and answer together; None where the engine does not tell."""
        ...

    async def start(self) -> None:
        """Raises EngineUnavailable when it does not come up in time."""
        ...

    async def stop(self) -> None:
        """Whatever still streams ends with EngineDied."""
        ...

    def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Raises EngineError; closing or cancelling the iterator takes the job out at once."""
        ...

    async def abort(self, job_id: JobId) -> None:
        """The job leaves now and its stream ends without a last piece; unknown ids are ignored."""
        ...

    def load(self) -> EngineLoad: ...


@runtime_checkable
class Mortal(Protocol):
    """An engine that knows of its own death while nothing runs on it, too."""

    def death(self) -> EngineDied | None: ...
