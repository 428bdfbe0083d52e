"""How often a classifier is right, and what it costs, on requests that people labelled."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.classifier.classifiers import Judge
from shared.messages.body import Body, ChatMessage
from shared.tasks import TASKS

_ROUNDS: Final = 5
_LARGE_CHARS: Final = 256 * 1024
_LARGE_CALLS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    kind: str
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds a call."""

    median_us: float
    p99_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """`confusion` counts (what it was, what it was taken for)."""

    confusion: Mapping[tuple[str, str], int]
    small: Cost
    large: Cost

    def requests(self) -> int:
        return sum(self.confusion.values())

    def accuracy(self) -> float:
        return self._share(lambda kind, taken_for: kind == taken_for)

    def class_accuracy(self) -> float:
        """A mistake between kinds of one latency class costs little."""
        return self._share(
            lambda kind, taken_for: TASKS[kind].latency_class == TASKS[taken_for].latency_class
        )

    def recall(self, kind: str) -> float:
        of_kind = sum(n for (was, _), n in self.confusion.items() if was == kind)
        return self.confusion.get((kind, kind), 0) / of_kind

    def kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in TASKS if any(was == kind for was, _ in self.confusion))

    def _share(self, is_right: Callable[[str, str], bool]) -> float:
        right = sum(n for (was, taken), n in self.confusion.items() if is_right(was, taken))
        return right / self.requests()


def read_labelled(path: Path) -> tuple[Labelled, ...]:
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = (json.loads(line) for line in lines)
    return tuple(Labelled(kind=row["kind"], body=Body.model_validate(row["body"])) for row in rows)


def evaluate(
    judge: Judge, labelled: Sequence[Labelled], monotonic: Callable[[], float]
) -> Findings:
    confusion = Counter((one.kind, judge.classify(one.body, None).kind) for one in labelled)
    bodies = [one.body for one in labelled]
    return Findings(
        confusion=confusion,
        small=_cost(judge, bodies * _ROUNDS, monotonic),
        large=_cost(judge, [_enlarged(body) for body in bodies[:_LARGE_CALLS]], monotonic),
    )


def _enlarged(body: Body) -> Body:
    """The same wish at the end of 256 KiB of code."""
    code = "total = price * count\n" * (_LARGE_CHARS // 22)
    text = f"{code}\n{body.text()}"
    if body.route == "chat":
        return body.model_copy(update={"messages": (ChatMessage(role="user", content=text),)})
    return body.model_copy(update={"prompt": text})


def _cost(judge: Judge, bodies: Sequence[Body], monotonic: Callable[[], float]) -> Cost:
    took_s: list[float] = []
    for body in bodies:
        began = monotonic()
        judge.classify(body, None)
        took_s.append(monotonic() - began)
    took_s.sort()
    return Cost(
        median_us=took_s[len(took_s) // 2] * 1e6, p99_us=took_s[len(took_s) * 99 // 100] * 1e6
    )
