"""What can go wrong, as one drawn tree; an error keeps its facts and says what would have worked.

CatoError
├── TaskRejected            refused before it was accepted; carries status, type, code, param
│   ├── InvalidRequest      400  a field is malformed, absurd or not implemented
│   │   └── UnknownTaskKind 400
│   ├── PromptTooLong       400  longer than the model's context
│   ├── Unauthenticated     401
│   ├── UnknownModel        404
│   ├── UnknownTask         404
│   ├── DeadlineExceeded    408  given up after it had become worthless; do not retry
│   ├── IdempotencyConflict 409
│   ├── BodyTooLarge        413
│   ├── RateLimited         429  over quota
│   ├── Overloaded          429  shed under overload
│   ├── EngineFailed        502  every attempt failed
│   └── NoWorker            503
├── SettingsError           a process cannot start with these settings
├── Deposed                 a newer leader speaks for this pool; step down
└── Unavailable             Kafka or Redis cannot be reached now; try again later
"""

from collections.abc import Mapping
from typing import ClassVar

from shared.domain.outcome import DropReason


class CatoError(Exception):
    """Everything the house raises on purpose."""


class SettingsError(CatoError):
    """Name the variable and what it should have been."""


class Deposed(CatoError):
    """Another scheduler leads with a newer epoch; whatever was asked did not happen."""


class Unavailable(CatoError):
    """Infrastructure is away; nothing was decided, so the same act can be repeated."""


class TaskRejected(CatoError):
    """A refusal the client can read; subclasses fix status, type and code."""

    status: ClassVar[int] = 400
    type: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
        dropped: DropReason | None = None,
    ) -> None:
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        self.dropped = dropped
        super().__init__(message)

    def as_openai(self) -> Mapping[str, str | None]:
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }


class InvalidRequest(TaskRejected):
    code = "invalid_value"


class UnknownTaskKind(InvalidRequest):
    code = "unknown_task_kind"

    def __init__(self, kind: str, known: tuple[str, ...], *, param: str) -> None:
        self.kind = kind
        super().__init__(
            f"unknown task kind {kind!r}; known kinds: {', '.join(known)}", param=param
        )


class PromptTooLong(TaskRejected):
    code = "context_length_exceeded"


class Unauthenticated(TaskRejected):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class UnknownModel(TaskRejected):
    status = 404
    code = "model_not_found"

    def __init__(self, model: str, known: tuple[str, ...]) -> None:
        self.model = model
        super().__init__(
            f"the model {model!r} does not exist; known models: {', '.join(known)}", param="model"
        )


class UnknownTask(TaskRejected):
    status = 404
    code = "task_not_found"


class DeadlineExceeded(TaskRejected):
    status = 408
    type = "timeout_error"
    code = "deadline_exceeded"


class IdempotencyConflict(TaskRejected):
    status = 409
    code = "idempotency_conflict"


class BodyTooLarge(TaskRejected):
    status = 413
    code = "request_too_large"


class RateLimited(TaskRejected):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class Overloaded(TaskRejected):
    status = 429
    type = "overloaded_error"
    code = "overloaded"


class EngineFailed(TaskRejected):
    status = 502
    type = "server_error"
    code = "engine_failed"


class NoWorker(TaskRejected):
    status = 503
    type = "server_error"
    code = "no_worker"
