"""When an answer was lost, only whoever can name the act again can learn what became of it."""

import itertools
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.domain.errors import Deposed
from shared.domain.task import TaskId


class Tickets:
    """One name per act on a task; an act that got no answer keeps its name when it is repeated."""

    def __init__(self) -> None:
        self._origin = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._unanswered: dict[tuple[str, TaskId], str] = {}

    @contextmanager
    def of(self, act: str, task_ids: Sequence[TaskId]) -> Iterator[Sequence[str]]:
        """The body of the `with` is the act; whatever it raises but Deposed leaves it open."""
        tickets = [self._named(act, task_id) for task_id in task_ids]
        try:
            yield tickets
        except Deposed:
            raise
        except BaseException:
            self._unanswered.update(
                ((act, task_id), ticket) for task_id, ticket in zip(task_ids, tickets, strict=True)
            )
            raise

    def _named(self, act: str, task_id: TaskId) -> str:
        if (act, task_id) in self._unanswered:
            return self._unanswered.pop((act, task_id))
        return f"{self._origin}{next(self._numbers):x}"
