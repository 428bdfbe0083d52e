"""A verdict says what a request probably is, and how sure the one who says it can be."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.errors import UnknownTaskKind
from shared.messages.body import Body
from shared.tasks import TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    kind: str
    confidence: float


class Judge(Protocol):
    def classify(self, body: Body, hint: str | None) -> Verdict:
        """The kind that the client named, else the one that its request looks like.

        Raises UnknownTaskKind where it named one that nobody knows; on any body there is a verdict.
        """
        ...


def as_named(hint: str) -> Verdict:
    """The client knows best. Raises UnknownTaskKind."""
    if hint not in TASKS:
        raise UnknownTaskKind(hint, tuple(TASKS), param="kind")
    return Verdict(kind=hint, confidence=1.0)
