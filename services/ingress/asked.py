"""One request, understood: who asks, for what, and what was promised."""

from dataclasses import dataclass, replace
from typing import Self

from services.ingress.headers import RequestHeaders
from services.ingress.tenants import Tenant
from shared.domain.task import Promise, ReplyAddress, TaskId
from shared.messages.body import Body
from shared.messages.catalogue import TaskSubmitted
from shared.telemetry.tracing import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`kind` and `promise` are the client's own; `reserved_tokens` were taken from its quota.

    `small` is a model that may be asked before `model`.
    """

    task_id: TaskId
    request_id: str
    http_route: str
    received_at: float
    tenant: Tenant
    headers: RequestHeaders
    model: str
    small: str | None = None
    body: Body
    size_bytes: int
    prompt_tokens: int
    kind: str | None = None
    promise: Promise | None = None
    session: str | None = None
    hint: int = 0
    detached: bool = False
    root: Root

    @property
    def reserved_tokens(self) -> int:
        return self.prompt_tokens + self.body.most_answer_tokens()

    def weighed(self) -> Self:
        """The same, and how likely the model finds each token of its answer."""
        if self.body.logprobs is not None:
            return self
        return replace(self, body=self.body.model_copy(update={"logprobs": 0}))

    def submitted(self, reply_to: ReplyAddress) -> TaskSubmitted:
        return TaskSubmitted(
            task_id=self.task_id,
            tenant=self.tenant.name,
            model=self.model,
            received_at=self.received_at,
            reply_to=reply_to,
            body=self.body,
            kind=self.kind,
            promise=self.promise,
            session=self.session,
            detached=self.detached,
            priority=self.hint,
            traceparent=self.root.traceparent,
        )
