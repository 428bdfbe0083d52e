"""The routes of the house, and what is said when something does not work out."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingress.call import ACCEPTED, HANG_UP, MODEL, REQUEST_ID
from services.ingress.completing import Completing
from services.ingress.errors import OurMistake, OutOfReach, UnknownPath, WrongMethod
from services.ingress.gate import OverQuota, quota_headers
from services.ingress.headers import request_id
from services.ingress.ingress import Ingress
from services.ingress.native import Following, Looking, Submitting
from services.ingress.page import page
from services.ingress.refusals import body_of, headers_of
from services.ingress.small_first import SmallFirst
from shared.domain.errors import InvalidRequest, TaskRejected, Unavailable
from shared.runtime.health import metrics_page
from shared.telemetry import instruments, names

log = logging.getLogger(__name__)

_NOT_FOUND: Final = 404
_WRONG_METHOD: Final = 405
# Whoever may read may also ask whether there is something to read.
_READ: Final = ["GET", "HEAD"]
# Every metric and span of the house is declared in shared.telemetry.
_TOLD_ELSEWHERE: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}


def build_app(ingress: Ingress) -> ASGIApp:
    """Hot routes are plain ASGI applications; the rest is small enough for the framework's way."""
    small_first = SmallFirst(ingress)
    app = FastAPI(title="CATO", openapi_url=None, redirect_slashes=False, telemetry=_TOLD_ELSEWHERE)
    app.router.routes += [
        Route("/v1/completions", Completing(ingress, small_first, "completions"), methods=["POST"]),
        Route("/v1/chat/completions", Completing(ingress, small_first, "chat"), methods=["POST"]),
        Route("/v1/tasks", Submitting(ingress), methods=["POST"]),
        Route("/v1/tasks/{task_id}", Looking(ingress), methods=["GET", "DELETE"]),
        Route("/v1/tasks/{task_id}/events", Following(ingress), methods=["GET"]),
    ]
    _add_models(app, ingress)
    _add_health(app, ingress)
    app.add_exception_handler(TaskRejected, _say_no)
    app.add_exception_handler(Unavailable, _say_later)
    app.add_exception_handler(HTTPException, _say_where)
    app.add_exception_handler(Exception, _admit_a_mistake)
    return Front(app)


@dataclass(frozen=True, slots=True)
class Front:
    """Before anything else a request gets its id, which every response tells."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own_id = request_id(scope["headers"])
        header = (b"x-request-id", own_id.encode("ascii"))
        scope[REQUEST_ID] = own_id
        # Only the server knows the connection; ASGI has no word for hanging up.
        connection = getattr(getattr(send, "__self__", None), "transport", None)
        scope.setdefault(HANG_UP, getattr(connection, "abort", None))

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self.app(scope, receive, send_with_id)


def _add_models(app: FastAPI, ingress: Ingress) -> None:
    @app.api_route("/v1/models", methods=_READ, response_model=None)
    async def models(request: Request) -> Response:
        ingress.gate.tenants.of(request.headers.get("authorization"))
        listed = [_model(name) for name in ingress.gate.models()]
        return _json({"object": "list", "data": listed})

    @app.api_route("/v1/models/{model:path}", methods=_READ, response_model=None)
    async def model(request: Request, model: str) -> Response:
        ingress.gate.tenants.of(request.headers.get("authorization"))
        return _json(_model(ingress.gate.model_for(model)))


def _add_health(app: FastAPI, ingress: Ingress) -> None:
    @app.api_route("/healthz", methods=_READ, response_model=None)
    async def healthz() -> Response:
        return PlainTextResponse("alive\n")

    @app.api_route("/readyz", methods=_READ, response_model=None)
    async def readyz() -> Response:
        if ingress.is_ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready\n", status_code=OutOfReach.status)

    @app.api_route("/metrics", methods=_READ, response_model=None)
    async def metrics() -> Response:
        content, content_type = metrics_page()
        return Response(content, headers={"content-type": content_type})

    @app.api_route("/", methods=_READ, response_model=None)
    async def live() -> Response:
        gate, clock = ingress.gate, ingress.clock
        shown = page(gate.backlogs, gate.desk, now=clock.now(), monotonic=clock.monotonic())
        return HTMLResponse(shown, headers={"cache-control": "no-store"})


async def _say_no(request: Request, error: Exception) -> Response:
    assert isinstance(error, TaskRejected)
    if ACCEPTED not in request.scope:
        _count(error, request.scope.get(MODEL))
    response = Response(body_of(error), error.status, media_type="application/json")
    told = quota_headers(error.answer) if isinstance(error, OverQuota) else []
    response.raw_headers.extend([*headers_of(error), *told])
    return response


def _count(error: TaskRejected, model: str | None) -> None:
    """By pool, where it is known which one was meant."""
    labels = {names.ERROR_TYPE: error.code or error.type}
    reason = {names.REASON: error.dropped.value} if error.dropped else {}
    pool = {names.MODEL: model} if model else {}
    instruments.rejected.add(1, {**labels, **reason, **pool})


async def _say_later(request: Request, error: Exception) -> Response:
    log.warning("request not accepted", extra={"why": str(error)})
    later = OutOfReach("the house cannot take this now; try again later", retry_after_s=1.0)
    return await _say_no(request, later)


async def _say_where(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself, in the shape of the API."""
    assert isinstance(error, HTTPException)
    response = await _say_no(request, _rejection(request, error))
    response.headers.update(error.headers or {})
    return response


def _rejection(request: Request, error: HTTPException) -> TaskRejected:
    asked = f"{request.method} {request.url.path[:128]}"
    match error.status_code:
        case status if status == _NOT_FOUND:
            return UnknownPath(f"there is no {asked}; the API begins at /v1")
        case status if status == _WRONG_METHOD:
            return WrongMethod(f"{asked} is not offered; {(error.headers or {}).get('Allow')} is")
        case _:
            return InvalidRequest(str(error.detail))


async def _admit_a_mistake(request: Request, error: Exception) -> Response:
    # The server logs it with its traceback.
    return await _say_no(request, OurMistake("something broke here; it has been logged"))


def _model(name: str) -> Mapping[str, str | int]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "cato"}


def _json(content: Mapping[str, object]) -> Response:
    return Response(json.dumps(content), media_type="application/json")
