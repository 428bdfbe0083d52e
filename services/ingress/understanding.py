"""From bytes on a connection to a request that is understood, or to a refusal that says why."""

import hashlib
from dataclasses import dataclass
from typing import Final

from services.ingress.asked import Asked
from services.ingress.call import MODEL, Call
from services.ingress.gate import likely_prompt_tokens
from services.ingress.headers import RequestHeaders
from services.ingress.ingress import Ingress, new_task_id
from services.ingress.requests import ChatRequest, CompletionRequest, Request
from services.ingress.task_request import TaskRequest
from services.ingress.tenants import Tenant
from shared.domain.task import Promise
from shared.tasks import TASKS
from shared.telemetry import names
from shared.telemetry.instruments import clamped_promises
from shared.telemetry.tracing import begin_root

_UNNAMED: Final = "unnamed"


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


async def understand(
    ingress: Ingress,
    call: Call,
    heard: Heard,
    request: CompletionRequest | ChatRequest | TaskRequest,
) -> Asked:
    """Raises TaskRejected."""
    small, model = ingress.gate.pools_of(ingress.gate.model_for(request.model))
    body = request.body()
    call.scope[MODEL] = model
    await ingress.gate.check_length(model, body)
    kind, own, session = _named(heard, request)
    return Asked(
        task_id=new_task_id(),
        request_id=call.request_id,
        http_route=call.route,
        received_at=heard.received_at,
        tenant=heard.tenant,
        headers=heard.headers,
        model=model,
        small=small,
        body=body,
        size_bytes=len(heard.raw),
        prompt_tokens=likely_prompt_tokens(body),
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
    if isinstance(request, TaskRequest):
        own = request.owed(own)
    # Only who waits for the whole answer hangs up when it does not come.
    waits = not request.stream and not isinstance(request, TaskRequest)
    return resolve(
        own,
        kind=kind,
        tenant=heard.tenant,
        read_timeout_s=heard.headers.read_timeout_s if waits else None,
    )


def resolve(
    own: Promise | None, *, kind: str | None, tenant: Tenant, read_timeout_s: float | None
) -> Promise | None:
    """What the client was promised beyond the usual of its kind; None leaves it at the usual."""
    if own is None:
        return _within_timeout(kind, read_timeout_s)
    clamped = clamp(own, tenant.shortest)
    if clamped != own:
        clamped_promises.add(1, {names.KIND: kind or _UNNAMED})
    return clamped


def clamp(own: Promise, shortest: Promise) -> Promise:
    return Promise(
        ttft_s=_at_least(own.ttft_s, shortest.ttft_s),
        tpot_s=_at_least(own.tpot_s, shortest.tpot_s),
        e2e_s=_at_least(own.e2e_s, shortest.e2e_s),
    )


def _at_least(own_s: float | None, shortest_s: float | None) -> float | None:
    return own_s if own_s is None or shortest_s is None else max(own_s, shortest_s)


def _within_timeout(kind: str | None, read_timeout_s: float | None) -> Promise | None:
    """Who hangs up after a while was promised no more time than that."""
    usual_s = None if kind is None else TASKS[kind].promise.e2e_s
    if usual_s is None or read_timeout_s is None or read_timeout_s >= usual_s:
        return None
    return Promise(e2e_s=read_timeout_s)
