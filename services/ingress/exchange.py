"""What one exchange with a client took, told to dashboards and traces when it is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.ingress.asked import Asked
from services.ingress.conversation import Piece
from shared.domain.task import LatencyClass, Promise
from shared.messages.catalogue import Usage
from shared.tasks import TASKS
from shared.telemetry import instruments, names
from shared.telemetry.tracing import record_span

_UNKNOWN: Final = "unknown"
_OPERATIONS: Final = {"completions": "text_completion", "chat": "chat", "tasks": "generate_content"}


@dataclass(slots=True, eq=False)
class Exchange:
    """`error_type` and `status` are how it ended; instants are epoch seconds."""

    asked: Asked
    status: int = 200
    error_type: str | None = None
    kind: str | None = None
    latency_class: LatencyClass | None = None
    worker: str | None = None
    queued_s: float | None = None
    first_at: float | None = None
    last_at: float | None = None
    usage: Usage | None = None
    tokens: int = 0
    is_synthetic: bool = False

    def begin(self, piece: Piece) -> None:
        """The first piece tells what the task turned out to be."""
        self.kind = piece.kind or self.asked.kind
        self.latency_class = piece.latency_class
        self.worker = piece.worker
        self.queued_s = piece.queued_s
        self.is_synthetic = piece.synthetic

    def note(self, pieces: Sequence[Piece], now: float) -> None:
        """These have just been written."""
        for piece in pieces:
            self.tokens += piece.tokens
            self.usage = piece.usage or self.usage
        if self.first_at is None:
            self.first_at = now
            self._hop(names.SPAN_FIRST_BYTE, pieces[0], now)
        self.last_at = now
        if pieces[-1].finish_reason is not None:
            self._hop(names.SPAN_LAST_BYTE, pieces[-1], now)

    def head(self) -> list[tuple[bytes, bytes]]:
        """What is known about the task before its answer is written."""
        known = (
            (b"x-cato-task", self.kind),
            (b"x-cato-class", self.latency_class),
            (b"x-cato-worker", self.worker),
            (b"x-cato-queue-ms", None if self.queued_s is None else f"{self.queued_s * 1e3:.1f}"),
            (b"x-cato-synthetic", "true" if self.is_synthetic else None),
        )
        return [(name, value.encode()) for name, value in known if value is not None]

    def used_tokens(self) -> int:
        if self.usage is None:
            return self.tokens
        return self.usage.prompt_tokens + self.usage.completion_tokens

    def finish(self, now: float) -> None:
        self._measure(now)
        self.asked.root.end(now, attributes=self._attributes(), error=self.error_type)

    def _measure(self, now: float) -> None:
        received_at = self.asked.received_at
        labels = {
            names.KIND: self.kind or _UNKNOWN,
            names.OPERATION: _OPERATIONS[self.asked.body.route],
            names.MODEL: self.asked.model,
        }
        ended = {**labels, names.ERROR_TYPE: self.error_type} if self.error_type else labels
        instruments.request_duration.record((self.last_at or now) - received_at, ended)
        if self.first_at is None or self.last_at is None:
            return
        instruments.time_to_first_token.record(self.first_at - received_at, labels)
        if self.tokens > 1:
            paced_s = (self.last_at - self.first_at) / (self.tokens - 1)
            instruments.time_per_output_token.record(paced_s, labels)

    def _hop(self, name: str, piece: Piece, now: float) -> None:
        slack_s = self._slack_s(now)
        if slack_s is not None:
            labels = {names.HOP: name, names.KIND: self.kind or _UNKNOWN}
            # A histogram takes nothing below 0: what is late has nothing left.
            instruments.deadline_slack.record(max(0.0, slack_s), labels)
        if piece.produced_at is None:
            return
        record_span(
            name,
            parent=self.asked.root.traceparent,
            start_at=piece.produced_at,
            end_at=now,
            attributes={
                names.TASK_ID: self.asked.task_id,
                **({} if slack_s is None else {names.SLACK_S: slack_s}),
            },
        )

    def _slack_s(self, now: float) -> float | None:
        """What is left of the promise; None where nothing was promised, or nobody knows what."""
        task = TASKS.get(self.kind or "")
        usual = task.promise if task is not None else Promise()
        own = self.asked.promise or usual
        limit_s = own.ttft_s or own.e2e_s or usual.ttft_s or usual.e2e_s
        return None if limit_s is None else self.asked.received_at + limit_s - now

    def _attributes(self) -> dict[str, str | int | float | bool]:
        asked, promise = self.asked, self.asked.promise or Promise()
        received_at = asked.received_at
        told: dict[str, str | int | float | bool | None] = {
            names.TASK_ID: asked.task_id,
            names.REQUEST_ID: asked.request_id,
            names.TENANT: asked.tenant.name,
            names.MODEL: asked.model,
            names.HTTP_ROUTE: asked.http_route,
            names.HTTP_STATUS: self.status,
            names.KIND: self.kind,
            names.LATENCY_CLASS: self.latency_class,
            names.WORKER: self.worker,
            names.SYNTHETIC: self.is_synthetic,
            names.TTFT_S: None if self.first_at is None else self.first_at - received_at,
            names.E2E_S: None if self.last_at is None else self.last_at - received_at,
            names.PROMISED_TTFT_S: promise.ttft_s,
            names.PROMISED_TPOT_S: promise.tpot_s,
            names.PROMISED_E2E_S: promise.e2e_s,
            names.USED_INPUT_TOKENS: self.usage.prompt_tokens if self.usage else None,
            names.USED_OUTPUT_TOKENS: self.usage.completion_tokens if self.usage else self.tokens,
        }
        return {name: value for name, value in told.items() if value is not None}
