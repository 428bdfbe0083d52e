"""Between acceptance and queue: what is it, what is owed, what will it cost?"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from services.classifier.classifiers.verdict import Judge, Verdict
from services.classifier.prediction import Costs, size_bytes
from shared.domain.clock import Clock
from shared.domain.outcome import Outcome
from shared.domain.task import Promise, Task, TaskId
from shared.messages.body import Body
from shared.messages.bus import Bus, Record, Start, Subscription
from shared.messages.catalogue import StepEnded, TaskClassified, TaskEnded, TaskSubmitted
from shared.scheduling.beginnings import beginnings
from shared.tasks import TASKS
from shared.telemetry import names
from shared.telemetry.instruments import deadline_slack, prediction_error
from shared.telemetry.tracing import record_span

_SUBMITTED: Final = Subscription(
    message=TaskSubmitted, topic=TaskSubmitted.base_topic, group="classifier"
)
# Learning is never urgent, and the topic is as wide as there can be ingresses.
_ENDED: Final = Subscription(
    message=TaskEnded, topic=TaskEnded.base_topic, start=Start.LATEST, patience_s=1.0
)

# Enough to remember a task until it ends: a minute at 300 tasks a second, about 4 MB.
_MOST_REMEMBERED: Final = 20_000
_FINISHED: Final = (Outcome.COMPLETED, Outcome.LATE)


@dataclass(frozen=True, slots=True)
class _Expected:
    prompt_bytes: int
    output_tokens: int


@dataclass(slots=True, kw_only=True)
class Classifier:
    """`costs` are learned by model: two of them seldom write answers of one length."""

    bus: Bus
    judge: Judge
    clock: Clock
    costs: defaultdict[str, Costs] = field(default_factory=lambda: defaultdict(Costs))
    expected: OrderedDict[TaskId, _Expected] = field(default_factory=OrderedDict)

    async def serve(self) -> None:
        """Share the accepted tasks with the other classifiers, until cancelled."""
        await self.bus.consume(_SUBMITTED, self.classify)

    async def listen(self) -> None:
        """Hear of every task that ends from now on, until cancelled."""
        await self.bus.consume(_ENDED, self.learn)

    async def classify(self, records: Sequence[Record[TaskSubmitted]]) -> None:
        """All are published before any is waited for; only then may their offsets be committed.

        Raises UnknownTaskKind for a kind that the ingress should have refused.
        """
        classified = [self._classified(record.message) for record in records]
        taken = [await self.bus.publish(message) for message in classified]
        self._tell(classified)
        await asyncio.gather(*taken)

    async def learn(self, records: Sequence[Record[TaskEnded]]) -> None:
        """Every classifier learns from all tasks, its own and those of its peers."""
        for record in records:
            self._learn(record.message)

    def _classified(self, submitted: TaskSubmitted) -> TaskClassified:
        verdict = self.judge.classify(submitted.body, submitted.kind)
        if submitted.body.stages:
            return self._chain(submitted, verdict)
        task = self._task(submitted, verdict)
        self._expect(task, submitted)
        task = replace(task, beginnings=_beginnings(task, submitted.body))
        return TaskClassified(task=task, body=submitted.body)

    def _chain(self, submitted: TaskSubmitted, verdict: Verdict) -> TaskClassified:
        """One task, promised as a whole, with a prediction for each of its stages."""
        promise = submitted.promise or Promise()
        stages = self.costs[submitted.model].foresee(submitted.body)
        task = replace(
            self._task(submitted, verdict),
            latency_class=promise.latency_class(),
            promise=promise,
            useful_s=TASKS[verdict.kind].useful_for_s(promise),
            supersedes=False,
            stages=len(stages),
        )
        return TaskClassified(task=task, body=submitted.body.model_copy(update={"stages": stages}))

    def _task(self, submitted: TaskSubmitted, verdict: Verdict) -> Task:
        coding_task = TASKS[verdict.kind]
        promise = coding_task.promise.with_limits_of(submitted.promise)
        return Task(
            id=submitted.task_id,
            kind=verdict.kind,
            latency_class=promise.latency_class(),
            model=submitted.model,
            tenant=submitted.tenant,
            received_at=submitted.received_at,
            promise=promise,
            useful_s=coding_task.useful_for_s(promise),
            prediction=self.costs[submitted.model].predict(verdict.kind, submitted.body),
            reply_to=submitted.reply_to,
            session=submitted.session,
            supersedes=verdict.kind == "completion" and submitted.session is not None,
            detached=submitted.detached,
            priority=submitted.priority,
            traceparent=submitted.traceparent,
        )

    def _expect(self, task: Task, submitted: TaskSubmitted) -> None:
        self.expected[task.id] = _Expected(
            size_bytes(submitted.body), task.prediction.output_tokens_p50
        )
        if len(self.expected) > _MOST_REMEMBERED:
            self.expected.popitem(last=False)

    def _tell(self, classified: Sequence[TaskClassified]) -> None:
        now = self.clock.now()
        for message in classified:
            task = message.task
            slack_s = task.deadline_at - now
            labels = {names.HOP: names.SPAN_CLASSIFY, names.LATENCY_CLASS: task.latency_class}
            deadline_slack.record(max(0.0, slack_s), labels)
            if task.traceparent is not None:
                _record_span(task, now, slack_s)

    def _learn(self, ended: TaskEnded) -> None:
        expected = self.expected.pop(ended.task_id, None)
        usage = ended.usage
        # What was cut short says nothing about how long it would have become.
        if usage is None or ended.outcome not in _FINISHED or ended.kind not in TASKS:
            return
        costs = self.costs[ended.model]
        if ended.steps:
            _learn_steps(costs, ended.steps)
            return
        costs.learn_output(
            ended.kind,
            prompt_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
        )
        if expected is None:
            return
        costs.learn_prompt(
            ended.kind, prompt_bytes=expected.prompt_bytes, prompt_tokens=usage.prompt_tokens
        )
        ratio = usage.completion_tokens / expected.output_tokens
        prediction_error.record(ratio, {names.KIND: ended.kind})


def _beginnings(task: Task, body: Body) -> tuple[int, ...]:
    """Templates of native tasks begin with words of their own for each kind."""
    return beginnings(body.texts(), salt=task.kind if body.route == "tasks" else body.route)


def _learn_steps(costs: Costs, steps: Sequence[StepEnded]) -> None:
    for step in steps:
        if step.usage is not None and step.kind in TASKS:
            costs.learn_output(
                step.kind,
                prompt_tokens=step.usage.prompt_tokens,
                output_tokens=step.usage.completion_tokens,
            )


def _record_span(task: Task, now: float, slack_s: float) -> None:
    record_span(
        names.SPAN_CLASSIFY,
        parent=task.traceparent,
        start_at=task.received_at,
        end_at=now,
        attributes={
            names.TASK_ID: task.id,
            names.KIND: task.kind,
            names.LATENCY_CLASS: task.latency_class,
            names.PREDICTED_PROMPT_TOKENS: task.prediction.prompt_tokens,
            names.PREDICTED_OUTPUT_TOKENS: task.prediction.output_tokens_p50,
            names.SLACK_S: slack_s,
        },
    )
