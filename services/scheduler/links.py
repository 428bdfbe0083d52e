"""Which chains live, and which of their steps wait or run now."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.domain.task import Task, TaskId


@dataclass(slots=True)
class Links:
    """A chain is there from its arrival to its end; its steps come and go."""

    chains: dict[TaskId, Task] = field(default_factory=dict)
    steps: defaultdict[TaskId, set[TaskId]] = field(default_factory=lambda: defaultdict(set))

    def note(self, task: Task) -> None:
        if task.stages:
            self.chains[task.id] = task
        elif task.step is not None:
            self.steps[task.step.chain].add(task.id)

    def expect(self, chain: TaskId, steps: Sequence[TaskId]) -> None:
        """The store may know them before the mirror does: whatever ends the chain ends them too."""
        self.steps[chain].update(steps)

    def accepted(self, task: Task) -> Task | None:
        """What the client knows: of a step its chain, unless that has ended."""
        return task if task.step is None else self.chains.get(task.step.chain)

    def steps_of(self, chain: TaskId) -> tuple[TaskId, ...]:
        return tuple(self.steps.get(chain, ()))

    def is_resting(self, chain: TaskId) -> bool:
        """Is it alive, with nothing of it waiting or running?"""
        return chain in self.chains and not self.steps.get(chain)

    def forget(self, task_id: TaskId, task: Task | None) -> None:
        if task is not None and task.step is not None:
            self.steps[task.step.chain].discard(task_id)
        elif self.chains.pop(task_id, None) is not None:
            self.steps.pop(task_id, None)
