"""What an engine has prefilled lately it need not prefill again: so a session has a home."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from shared.domain.task import Task
from shared.scheduling.policy import Home, WorkerView

# What engines keep and share: whole blocks of so many tokens, as vLLM does by default.
_BLOCK_TOKENS: Final = 16
# So many workers are remembered of one session.
_HOMES: Final = 4


@dataclass(slots=True, kw_only=True)
class Prefixes:
    """The prompts one engine still holds, of so many tokens together; the oldest go first."""

    room_tokens: int
    _tokens: OrderedDict[Hashable, int] = field(default_factory=OrderedDict)
    _held_tokens: int = 0

    def tokens(self, key: Hashable) -> int:
        return self._tokens.get(key, 0)

    def keep(self, key: Hashable, tokens: int) -> None:
        self._held_tokens += tokens - self._tokens.pop(key, 0)
        self._tokens[key] = tokens
        while self._held_tokens > self.room_tokens:
            self._held_tokens -= self._tokens.popitem(last=False)[1]


@dataclass(slots=True, kw_only=True)
class Sessions:
    """Which workers were sent a session's prompts; of as many sessions, the latest.

    `share` of the shorter of two prompts is expected to be what the later one begins with, as an
    editor's are: what follows the cursor moves on. 0: engines keep no prefixes.
    """

    share: float = 0.0
    limit: int = 10_000
    _sent: OrderedDict[str, dict[str, tuple[WorkerView, int]]] = field(default_factory=OrderedDict)

    def sent(self, task: Task, worker: WorkerView) -> None:
        if not self.share or task.session is None:
            return
        homes = self._sent.pop(task.session, {})
        self._sent[task.session] = homes
        homes.pop(worker.name, None)
        homes[worker.name] = (worker, task.prediction.prompt_tokens)
        if len(homes) > _HOMES:
            del homes[next(iter(homes))]
        if len(self._sent) > self.limit:
            self._sent.popitem(last=False)

    def home(self, task: Task, now_of: Callable[[WorkerView], WorkerView | None]) -> Home | None:
        """The one that is drained first. `now_of` is what has become of a worker; None for one that
        has gone."""
        sent = self._sent.get(task.session or "", {}).values()
        living = (worker for then, _ in sent if (worker := now_of(then)) is not None)
        worker = min(living, key=attrgetter("drained_at"), default=None)
        if worker is None:
            return None
        return Home(worker=worker, cached_tokens=self.cached_tokens(task, worker))

    def cached_tokens(self, task: Task, worker: WorkerView) -> int:
        """Of this task's prompt on that worker, as far as is known."""
        _, before = self._sent.get(task.session or "", {}).get(worker.name, (worker, 0))
        return shared_tokens(self.share, before, task.prediction.prompt_tokens)


def shared_tokens(share: float, before: int, prompt_tokens: int) -> int:
    """Of a prompt that begins as the one before; the last token is always computed anew."""
    tokens = int(share * min(before, prompt_tokens)) // _BLOCK_TOKENS * _BLOCK_TOKENS
    return max(0, min(tokens, prompt_tokens - 1))
