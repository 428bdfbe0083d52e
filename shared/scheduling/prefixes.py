"""What an engine has prefilled lately it need not prefill again: so a prompt has a home."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final

from shared.domain.task import Task
from shared.scheduling.beginnings import TOKENS
from shared.scheduling.policy import Home, WorkerView

# What engines keep and share: whole blocks of so many tokens, as vLLM does by default.
_BLOCK_TOKENS: Final = 16
# So many workers are remembered of one beginning: many prompts begin with the same instructions.
_HOMES: Final = 64
# How much one answer changes the trust in caches, once there were as many as make that a mean.
_LEARNED: Final = 0.02
# Below it a home is not worth the looking.
_LEAST_TRUST: Final = 0.05


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
class Homes:
    """Which workers were sent prompts that begin alike; of as many beginnings, the latest.

    `trust` is how much of such a beginning engines turn out to have kept: nothing, until they say
    so. Whoever caches no prefixes, or does not tell, is never waited for.
    """

    trust: float = 0.0
    limit: int = 50_000
    _heard: int = 1
    _sent: OrderedDict[int, dict[str, WorkerView]] = field(default_factory=OrderedDict)

    def sent(self, task: Task, worker: WorkerView) -> int:
        """How many tokens of its prompt the worker had been sent before."""
        known = self._known_tokens(task, worker)
        for beginning in task.beginnings:
            workers = self._sent.pop(beginning, {})
            self._sent[beginning] = workers
            workers.pop(worker.name, None)
            workers[worker.name] = worker
            if len(workers) > _HOMES:
                del workers[next(iter(workers))]
        while len(self._sent) > self.limit:
            self._sent.popitem(last=False)
        return known

    def learn(self, known_tokens: int, cached_tokens: int | None) -> None:
        """An engine that had been sent so many of a prompt's tokens says how many it had kept."""
        if known_tokens > 0 and cached_tokens is not None:
            kept = min(1.0, max(0.0, cached_tokens / known_tokens))
            self._heard += 1
            self.trust += max(_LEARNED, 1 / self._heard) * (kept - self.trust)

    def home(
        self, task: Task, now: float, now_of: Callable[[WorkerView], WorkerView | None]
    ) -> Home | None:
        """Of those who were sent most of its prompt the one that is drained first, the emptiest
        among equals. `now_of` is what has become of a worker; None for one that has gone."""
        if self.trust < _LEAST_TRUST:
            return None
        for beginning, tokens in _longest_first(task):
            sent = self._sent.get(beginning, {}).values()
            living = [worker for then in sent if (worker := now_of(then)) is not None]
            if living:
                worker = min(living, key=lambda each: (max(now, each.drained_at), each.held))
                return Home(worker=worker, cached_tokens=self.kept(task, tokens))
        return None

    def cached_tokens(self, task: Task, worker: WorkerView) -> int:
        """Of this task's prompt on that worker, as far as engines keep what they were sent."""
        return self.kept(task, self._known_tokens(task, worker))

    def likely_tokens(self, task: Task) -> int:
        """Of this task's prompt on whichever engine was sent most of it."""
        if self.trust < _LEAST_TRUST:
            return 0
        known = (tokens for each, tokens in _longest_first(task) if each in self._sent)
        return self.kept(task, next(known, 0))

    def kept(self, task: Task, known_tokens: int) -> int:
        """Of so many tokens that a worker was sent before."""
        return shared_tokens(self.trust, known_tokens, task.prediction.prompt_tokens)

    def _known_tokens(self, task: Task, worker: WorkerView) -> int:
        """The longest of its beginnings that the worker was sent."""
        known = (n for each, n in _longest_first(task) if worker.name in self._sent.get(each, ()))
        return next(known, 0)


def _longest_first(task: Task) -> Iterable[tuple[int, int]]:
    """The beginnings of its prompt, and how many tokens each is."""
    return reversed(tuple(zip(task.beginnings, TOKENS, strict=False)))


def shared_tokens(share: float, before: int, prompt_tokens: int) -> int:
    """Of a prompt that begins as the one before; the last token is always computed anew."""
    tokens = int(share * min(before, prompt_tokens)) // _BLOCK_TOKENS * _BLOCK_TOKENS
    return max(0, min(tokens, prompt_tokens - 1))
