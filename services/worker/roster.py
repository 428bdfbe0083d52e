"""The roster is what a worker has taken on: what waits, what runs, what it has seen before."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from services.worker.engine import EngineRefused, JobId
from shared.domain.fence import Fence
from shared.domain.outcome import Attempt, FinishReason
from shared.domain.task import Task, TaskId
from shared.messages.catalogue import TaskDispatched, Usage
from shared.messages.pool import RunningTask
from shared.tasks.chain import MOST_OUTPUT_BYTES

AttemptKey = tuple[TaskId, Fence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One life of one worker, and what it offers."""

    name: str
    incarnation: str
    model: str
    slots: int

    @property
    def wire_name(self) -> str:
        return f"{self.name}/{self.incarnation}"


@dataclass(slots=True)
class Answer:
    """What a step of a chain says, for the steps after it."""

    texts: list[str] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, text: str) -> None:
        """Raises EngineRefused for an answer that is too long to be asked about."""
        self.texts.append(text)
        self.size_bytes += len(text.encode("utf-8", "replace"))
        if self.size_bytes > MOST_OUTPUT_BYTES:
            raise EngineRefused(
                f"a step of the chain answered more than {MOST_OUTPUT_BYTES} bytes; "
                "ask for less with `max_tokens`",
                is_permanent=True,
                status=400,
            )


@dataclass(slots=True, eq=False, kw_only=True)
class Run:
    """One attempt on this worker. `leased_until` is monotonic, the other instants are epochs.

    `stopped_as` is set by whoever stops it; `is_disowned` when its lease ran out, so that nothing
    more may be said about it.
    """

    id: JobId
    dispatched: TaskDispatched
    received_at: float
    leased_until: float
    started_at: float | None = None
    first_token_at: float | None = None
    last_token_at: float | None = None
    tokens: int = 0
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    stopped_as: Attempt | None = None
    stopped_because: str | None = None
    is_disowned: bool = False
    undelivered: str | None = None
    answer: Answer | None = None
    runner: asyncio.Task[None] | None = None

    @property
    def task(self) -> Task:
        return self.dispatched.task

    @property
    def prefill_tokens(self) -> int:
        """Of its prompt, what the engine has not kept from others."""
        return self.task.prediction.prompt_tokens - self.dispatched.cached_tokens

    def is_stopped(self) -> bool:
        return self.is_disowned or self.stopped_as is not None

    @property
    def key(self) -> AttemptKey:
        return self.dispatched.task.id, self.dispatched.fence

    def engine_s(self, now: float) -> float:
        """Time inside the engine, until its last token or until now."""
        if self.started_at is None:
            return 0.0
        last_at = None if self.finish_reason is None else self.last_token_at
        return max(0.0, (now if last_at is None else last_at) - self.started_at)

    def as_running(self) -> RunningTask:
        streamed = self.first_token_at is not None
        return RunningTask(task_id=self.task.id, fence=self.dispatched.fence, streamed=streamed)

    def renew(self, since: float) -> None:
        """The scheduler's lease began anew when it was last told of this attempt."""
        self.leased_until = max(self.leased_until, since + self.dispatched.lease_s)

    def stop(self, stopped_as: Attempt | None, because: str | None = None) -> None:
        """Leave the engine; with None nothing more is said, because nobody would listen."""
        self.stopped_as, self.is_disowned = stopped_as, stopped_as is None
        self.stopped_because = because
        # A runner that was cancelled before its first step would end without a word.
        if self.runner is not None and self.started_at is not None:
            self.runner.cancel()


@dataclass(slots=True, kw_only=True)
class Seen:
    """Attempts taken or revoked before; the oldest are forgotten first."""

    limit: int = 5_000
    _keys: set[AttemptKey] = field(default_factory=set)
    _order: deque[AttemptKey] = field(default_factory=deque)

    def add(self, key: AttemptKey) -> bool:
        """True the first time."""
        if key in self._keys:
            return False
        self._keys.add(key)
        self._order.append(key)
        if len(self._order) > self.limit:
            self._keys.discard(self._order.popleft())
        return True


@dataclass(slots=True, kw_only=True)
class Roster:
    """`changed` wakes whoever reports; `is_draining` means that nothing new is begun."""

    waiting: dict[JobId, Run] = field(default_factory=dict)
    running: dict[JobId, Run] = field(default_factory=dict)
    newest: dict[TaskId, Run] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_draining: bool = False

    def runs(self) -> tuple[Run, ...]:
        return (*self.waiting.values(), *self.running.values())

    def find(self, key: AttemptKey) -> Run | None:
        job_id = job_id_of(*key)
        return self.running.get(job_id) or self.waiting.get(job_id)

    def take(self, run: Run) -> None:
        self.waiting[run.id] = run
        self.newest[run.task.id] = run
        self.changed.set()

    def begin(self, run: Run) -> None:
        del self.waiting[run.id]
        self.running[run.id] = run
        self.changed.set()

    def leave(self, run: Run) -> None:
        self.waiting.pop(run.id, None)
        self.running.pop(run.id, None)
        if self.newest.get(run.task.id) is run:
            del self.newest[run.task.id]
        self.changed.set()


def job_id_of(task_id: TaskId, fence: Fence) -> JobId:
    return JobId(f"{task_id}@{fence}")
