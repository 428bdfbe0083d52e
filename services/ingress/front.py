"""Before anything else a request gets its id, which every response tells."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingress.call import HANG_UP, REQUEST_ID
from services.ingress.headers import request_id


@dataclass(frozen=True, slots=True)
class Front:
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
