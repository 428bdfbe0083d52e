"""What a scheduler measures: how tasks ended, how long they waited, what is queued now."""

import logging
from dataclasses import dataclass, field

from shared.domain.task import LatencyClass, Task
from shared.messages.catalogue import AttemptEnded, TaskEnded
from shared.messages.pool import BacklogReported, ClassBacklog
from shared.scheduling.guard import Guard
from shared.tasks import TASKS
from shared.telemetry import instruments, names
from shared.telemetry.attainment import RecentPromises
from shared.telemetry.tracing import record_span

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Measures:
    """Of one reign over one pool."""

    model: str
    promises: RecentPromises = field(default_factory=RecentPromises)

    def ended(self, ending: TaskEnded) -> None:
        kind = instruments.known(ending.kind, TASKS)
        labels = {
            names.OUTCOME: ending.outcome.value,
            names.KIND: kind,
            names.LATENCY_CLASS: ending.latency_class.value,
            names.MODEL: self.model,
        }
        instruments.tasks.add(1, labels)
        self.promises.ended(kind, ending.outcome, ending.ended_at)

    def used_for_nothing(self, attempt: AttemptEnded) -> None:
        """It no longer spoke for its task: cancelled, replaced, or started again elsewhere."""
        instruments.wasted_gpu.add(max(0.0, attempt.engine_s))

    def claimed(self, task: Task, now: float) -> None:
        kind = instruments.known(task.kind, TASKS)
        instruments.queue_duration.record(
            max(0.0, now - task.received_at),
            {
                names.KIND: kind,
                names.LATENCY_CLASS: task.latency_class.value,
                names.MODEL: self.model,
            },
        )
        _span(names.SPAN_QUEUE, task, now)

    def stepped(self, duration_s: float, guard: Guard) -> None:
        instruments.step_duration.record(duration_s)
        self._fell_back(guard)

    def holds(self, report: BacklogReported, running: int) -> None:
        model = {names.MODEL: self.model}
        for latency_class, backlog in report.classes.items():
            labels = {names.LATENCY_CLASS: latency_class.value, **model}
            instruments.backlog_seconds.set(backlog.work_s, labels)
            instruments.backlog_wait.set(backlog.wait_s, labels)
            instruments.queued_tasks.set(backlog.queued, labels)
        instruments.running_tasks.set(running, model)
        instruments.queued_bytes.set(report.queued_bytes, model)
        instruments.slots.set(report.slots, model)
        instruments.workers_needed.set(report.needed or 0, model)
        self.promises.report(report.at, self.model)

    def rest(self) -> None:
        """Who leads no more knows of nothing, so that the largest of all values is the leader's."""
        nothing = BacklogReported(
            model=self.model,
            epoch=-1,
            at=0.0,
            workers=0,
            slots=0,
            queued_bytes=0,
            is_full=False,
            classes={latency_class: ClassBacklog() for latency_class in LatencyClass},
        )
        self.holds(nothing, running=0)
        self.workers(listening=0, silent=0, draining=0)

    def workers(self, *, listening: int, silent: int, draining: int) -> None:
        states = {"listening": listening, "silent": silent, "draining": draining}
        for state, count in states.items():
            instruments.workers.set(count, {names.MODEL: self.model, names.STATE: state})

    def _fell_back(self, guard: Guard) -> None:
        lapses = guard.take_lapses()
        if lapses:
            log.warning("planned by earliest deadline", extra={"latest": guard.latest})
        for question, count in lapses.items():
            instruments.fallbacks.add(count, {names.REASON: question})

    def step_over(self, step: Task, ended_at: float) -> None:
        _span(names.SPAN_STEP, step, ended_at)


def _span(name: str, task: Task, end_at: float) -> None:
    """From when it could begin."""
    of_chain = {} if task.step is None else {names.STEP: str(task.step), names.KIND: task.kind}
    record_span(
        name,
        parent=task.traceparent,
        start_at=task.received_at,
        end_at=end_at,
        attributes={
            names.TASK_ID: task.accepted_id,
            names.MODEL: task.model,
            names.SLACK_S: task.deadline_at - end_at,
            **of_chain,
        },
    )
