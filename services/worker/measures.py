"""What a worker measures of an attempt: how it came, how long it waited, what the engine took."""

from services.worker.roster import Run
from shared.domain.outcome import Attempt
from shared.messages.pool import EngineLoad
from shared.tasks import TASKS
from shared.telemetry import instruments, names
from shared.telemetry.spans import Attributes
from shared.telemetry.tracing import record_span


def received(run: Run) -> None:
    dispatched_at, now = run.dispatched.dispatched_at, run.received_at
    instruments.dispatch_delay.record(max(0.0, now - dispatched_at))
    _hop(run, names.SPAN_DISPATCH, start_at=dispatched_at, end_at=now)


def started(run: Run, now: float) -> None:
    instruments.feed_duration.record(max(0.0, now - run.received_at))
    _hop(run, names.SPAN_FEED, start_at=run.received_at, end_at=now)


def attempt_over(run: Run, result: Attempt | None, now: float) -> None:
    """`result` is None when the lease ran out."""
    said = "disowned" if result is None else result.value
    instruments.attempts.add(1, {names.RESULT: said, names.KIND: _kind(run)})
    if run.started_at is None:
        return
    facts: dict[str, str | int | float | bool] = {names.RESULT: said}
    if run.first_token_at is not None:
        facts[names.TTFT_S] = run.first_token_at - run.started_at
    if run.usage is not None:
        facts[names.USED_INPUT_TOKENS] = run.usage.prompt_tokens
        facts[names.USED_OUTPUT_TOKENS] = run.usage.completion_tokens
    end_at = run.started_at + run.engine_s(now)
    _hop(run, names.SPAN_ENGINE, start_at=run.started_at, end_at=end_at, facts=facts)


def holds(load: EngineLoad, waiting: int) -> None:
    instruments.engine_running.set(load.running)
    instruments.engine_waiting.set(waiting)
    instruments.engine_kv_tokens.set(load.kv_tokens)
    instruments.engine_step.set(load.step_s)


def _hop(
    run: Run, span: str, *, start_at: float, end_at: float, facts: Attributes | None = None
) -> None:
    slack_s = run.task.deadline_at - end_at
    instruments.deadline_slack.record(max(0.0, slack_s), {names.HOP: span, names.KIND: _kind(run)})
    record_span(
        span,
        parent=run.task.traceparent,
        start_at=start_at,
        end_at=end_at,
        attributes={
            names.TASK_ID: run.task.accepted_id,
            **({} if run.task.step is None else {names.STEP: str(run.task.step)}),
            names.WORKER: run.dispatched.worker,
            names.FENCE: str(run.dispatched.fence),
            names.SLACK_S: slack_s,
            **(facts or {}),
        },
    )


def _kind(run: Run) -> str:
    return instruments.known(run.task.kind, TASKS)
