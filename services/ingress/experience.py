"""What became of those who were let in says whom to let in next."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from services.ingress.admission import Crowd, Shape, Wish, first_guess
from services.ingress.conversation import ANSWERED
from shared.domain.outcome import Outcome
from shared.domain.task import LatencyClass, TaskId
from shared.messages.catalogue import TaskEnded
from shared.tasks import TASKS

_WEIGHT: Final = 0.1
# Before anything was seen: a token every 20 ms, as a reader would like it.
_TOKEN_S: Final = 0.02

# As TCP finds the width of a line: at first one more for each that went well, then a little
# for each round that did, and a part less for one that did not.
_FIRST: Final = 256.0
_LEAST: Final = 4.0
_CUT: Final = 0.75
_GROWTH: Final = 0.5
# One late answer is an accident; as many as this of the last ones, or waiting together, are not.
_ACCIDENTS: Final = 0.12
_TOGETHER: Final = 3
_BROKEN: Final = frozenset({Outcome.LATE, Outcome.SHED, Outcome.EXPIRED})

# After so many requests of a shape the older ones count half.
_MEMORY: Final = 32
# An ending may be lost; nobody stands in the way of others for ever.
_FORGOTTEN_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Somebody who was let in at the instant `at`."""

    at: float
    shape: Shape
    wish: Wish


@dataclass(slots=True)
class Most:
    """How many of one shape may be open together; found by trying, round after round."""

    value: float = _FIRST
    cut_at: float | None = None
    open: int = 0
    broken: float = 0.0
    waiting: dict[TaskId, float] = field(default_factory=dict)

    def learn(self, ticket: Ticket, ended: TaskEnded) -> None:
        is_broken = ended.outcome in _BROKEN
        if is_broken or ended.outcome is Outcome.COMPLETED:
            self.broken += _WEIGHT * (is_broken - self.broken)
        if is_broken and self.broken > _ACCIDENTS:
            self._cut(ticket.at, ended.ended_at)
        elif ended.outcome is Outcome.COMPLETED and self.open >= self.value * _CUT:
            self.value += 1.0 if self.cut_at is None else _GROWTH / self.value

    def look(self, promised_s: float | None, now: float) -> None:
        """Those who wait for longer than was promised need not end before that is noticed."""
        since = next(islice(self.waiting.values(), _TOGETHER - 1, None), now)
        if promised_s is not None and now - since > promised_s:
            self._cut(since, now)

    def _cut(self, let_in_at: float, now: float) -> None:
        # Whoever went in before the last cut tells nothing new.
        if self.cut_at is None or let_in_at >= self.cut_at:
            self.value = max(_LEAST, _CUT * min(self.value, self.open + 1))
            self.cut_at = now


@dataclass(slots=True)
class Experience:
    """Learned from the endings of this ingress' own tasks."""

    kinds: dict[Shape, Counter[str]] = field(default_factory=dict)
    most: dict[Shape, Most] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict)
    tickets: OrderedDict[TaskId, Ticket] = field(default_factory=OrderedDict)
    # Their ending came before their first token; the client still waits for that.
    overtaken: set[TaskId] = field(default_factory=set)

    def let_in(self, task_id: TaskId, ticket: Ticket) -> None:
        self.tickets[task_id] = ticket
        most = self.most.setdefault(ticket.shape, Most())
        most.open += 1
        if ticket.wish.promised_s is not None:
            most.waiting[task_id] = ticket.at
        oldest = next(iter(self.tickets))
        if self.tickets[oldest].at < ticket.at - _FORGOTTEN_S:
            self._give_back(oldest)

    def begin(self, task_id: TaskId) -> None:
        """Its first token has come; where that was promised the wait is over."""
        ticket = self.tickets.get(task_id)
        if ticket is None or ticket.wish.latency_class is not LatencyClass.TTFT:
            return
        self.most[ticket.shape].waiting.pop(task_id, None)
        if task_id in self.overtaken:
            self._give_back(task_id)

    def crowd(self, shape: Shape, wish: Wish, *, since: float, now: float) -> Crowd:
        most = self.most.get(shape, Most())
        most.look(wish.promised_s, now)
        return Crowd(
            since=self._let_in_since(since, shape.model),
            alike=most.open,
            most=most.value,
            duration_s=self.duration_s(wish.kind),
        )

    def _let_in_since(self, at: float, model: str) -> Mapping[LatencyClass, int]:
        """How many of each class went in and have not ended."""
        counts: dict[LatencyClass, int] = {}
        for ticket in reversed(self.tickets.values()):
            if ticket.at < at:
                break
            if ticket.shape.model == model:
                latency_class = ticket.wish.latency_class
                counts[latency_class] = counts.get(latency_class, 0) + 1
        return counts

    def learn(self, ended: TaskEnded) -> None:
        ticket = self.tickets.get(ended.task_id)
        if ended.outcome in ANSWERED and self._awaits_first(ended.task_id):
            self.overtaken.add(ended.task_id)
        else:
            self._give_back(ended.task_id)
        if ended.kind not in TASKS:
            return
        self._learn_duration(ended)
        if ticket is None:
            return
        self._learn_kind(ticket.shape, ended.kind)
        if ticket.wish.promised_s is not None:
            self.most[ticket.shape].learn(ticket, ended)

    def likely_kind(self, shape: Shape) -> str:
        seen = self.kinds.get(shape)
        return max(seen, key=seen.__getitem__) if seen else first_guess(shape)

    def duration_s(self, kind: str) -> float:
        """From the first token to the last, on an average of the last ones."""
        return self.durations_s.get(kind, _TOKEN_S * TASKS[kind].prior.output_tokens_p50)

    def _learn_kind(self, shape: Shape, kind: str) -> None:
        seen = self.kinds.setdefault(shape, Counter())
        seen[kind] += 1
        if seen.total() > _MEMORY:
            self.kinds[shape] = Counter({each: n // 2 for each, n in seen.items() if n > 1})

    def _awaits_first(self, task_id: TaskId) -> bool:
        ticket = self.tickets.get(task_id)
        return (
            ticket is not None
            and ticket.wish.latency_class is LatencyClass.TTFT
            and task_id in self.most[ticket.shape].waiting
        )

    def _give_back(self, task_id: TaskId) -> None:
        ticket = self.tickets.pop(task_id, None)
        self.overtaken.discard(task_id)
        if ticket is not None:
            self.most[ticket.shape].open -= 1
            self.most[ticket.shape].waiting.pop(task_id, None)

    def _learn_duration(self, ended: TaskEnded) -> None:
        if ended.ttft_s is None or ended.e2e_s is None:
            return
        before_s = self.duration_s(ended.kind)
        took_s = ended.e2e_s - ended.ttft_s
        self.durations_s[ended.kind] = before_s + _WEIGHT * (took_s - before_s)
