"""From bytes on a connection to a request that is understood, or to a refusal that says why."""

import hashlib
from dataclasses import dataclass

from services.ingress.asked import Asked
from services.ingress.call import Call
from services.ingress.headers import RequestHeaders
from services.ingress.ingress import Ingress, new_task_id
from services.ingress.promises import resolve
from services.ingress.requests import ChatRequest, CompletionRequest, Request, TaskRequest
from services.ingress.tenants import Tenant
from shared.domain.task import Promise
from shared.telemetry import names
from shared.telemetry.tracing import begin_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was read of a call before its fields were looked at."""

    received_at: float
    headers: RequestHeaders
    tenant: Tenant
    raw: bytes

    def digest(self, route: str) -> str:
        return hashlib.sha256(route.encode() + b" " + self.raw).hexdigest()


async def hear(ingress: Ingress, call: Call) -> Heard:
    """Raises TaskRejected, ClientLeft."""
    received_at = ingress.clock.now()
    headers = RequestHeaders.read(call.scope["headers"])
    tenant = ingress.gate.tenants.of(headers.authorization)
    ingress.gate.check_open()
    raw = await call.read(ingress.gate.knobs.max_body_bytes)
    return Heard(received_at=received_at, headers=headers, tenant=tenant, raw=raw)


def understand(
    ingress: Ingress,
    call: Call,
    heard: Heard,
    request: CompletionRequest | ChatRequest | TaskRequest,
) -> Asked:
    """Raises TaskRejected."""
    body = request.body()
    kind, own, session = _named(heard, request)
    return Asked(
        task_id=new_task_id(),
        request_id=call.request_id,
        http_route=call.route,
        received_at=heard.received_at,
        tenant=heard.tenant,
        headers=heard.headers,
        model=ingress.gate.model_for(request.model),
        body=body,
        size_bytes=len(heard.raw),
        prompt_tokens=ingress.gate.count_prompt_tokens(body),
        kind=kind,
        promise=_promise(heard, kind, own, request),
        session=None if session is None else f"{heard.tenant.name}/{session}",
        hint=request.hint,
        detached=isinstance(request, TaskRequest) or heard.headers.idempotency_key is not None,
        root=begin_root(
            names.SPAN_TASK,
            incoming_traceparent=heard.headers.traceparent,
            incoming_tracestate=heard.headers.tracestate,
            start_at=heard.received_at,
        ),
    )


def _named(heard: Heard, request: Request) -> tuple[str | None, Promise | None, str | None]:
    """Kind, promise and session as the client named them; headers win over the body."""
    headers = heard.headers
    if not isinstance(request, TaskRequest):
        return headers.kind, headers.promise, headers.session
    in_body = None if request.promise is None else request.promise.promise()
    return (
        headers.kind or request.named_kind(),
        headers.promise or in_body,
        headers.session or request.session,
    )


def _promise(
    heard: Heard, kind: str | None, own: Promise | None, request: Request
) -> Promise | None:
    # Only who waits for the whole answer hangs up when it does not come.
    waits = not request.stream and not isinstance(request, TaskRequest)
    return resolve(
        own,
        kind=kind,
        tenant=heard.tenant,
        read_timeout_s=heard.headers.read_timeout_s if waits else None,
    )
