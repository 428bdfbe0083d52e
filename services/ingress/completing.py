"""The synchronous routes: ask, wait, and read the answer as it comes or as a whole."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from services.ingress.answers import Answer, Route
from services.ingress.asked import Asked
from services.ingress.call import ACCEPTED, Call
from services.ingress.conversation import Conversation
from services.ingress.errors import ClientLeft
from services.ingress.exchange import Exchange
from services.ingress.ingress import Ingress
from services.ingress.requests import ChatRequest, CompletionRequest
from services.ingress.small_first import SmallFirst, Turn
from services.ingress.talk import Talk
from services.ingress.understanding import Heard, hear, understand
from shared.domain.errors import TaskRejected

log = logging.getLogger(__name__)

_CLIENT_LEFT: Final = 499

OpenAIRequest = CompletionRequest | ChatRequest


@dataclass(frozen=True, slots=True)
class Completing:
    """One OpenAI route, as an ASGI application: no framework stands between pieces and socket."""

    ingress: Ingress
    small_first: SmallFirst
    route: Route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send)
        try:
            heard = await hear(self.ingress, call)
            request = self._read(heard.raw)
            asked = await understand(self.ingress, call, heard, request)
            turn = self.small_first.turn(call, asked)
            conversation = await self._open(turn, heard)
        except ClientLeft:
            return
        talk = self._talk(call, conversation, turn.asked, request)
        await self._converse(talk, is_streamed=request.stream is True)

    def _read(self, raw: bytes) -> OpenAIRequest:
        return ChatRequest.read(raw) if self.route == "chat" else CompletionRequest.read(raw)

    async def _open(self, turn: Turn, heard: Heard) -> Conversation:
        if turn.asked.headers.idempotency_key is None:
            return await turn.open()
        task_id = await self.ingress.once(turn.asked, heard.digest(self.route))
        return self.ingress.listen(task_id)

    def _talk(
        self, call: Call, conversation: Conversation, asked: Asked, request: OpenAIRequest
    ) -> Talk:
        return Talk(
            call=call,
            conversation=conversation,
            exchange=Exchange(asked),
            answer=Answer.to(
                self.route,
                task_id=conversation.task_id,
                model=asked.model,
                created=int(asked.received_at),
                wants_usage=request.wants_usage,
                wants_logprobs=request.likeliest() is not None,
            ),
            clock=self.ingress.clock,
            knobs=self.ingress.gate.knobs,
        )

    async def _converse(self, talk: Talk, *, is_streamed: bool) -> None:
        talk.call.scope[ACCEPTED] = True
        watch = asyncio.create_task(talk.watch())
        talk.conversation.cut_off = talk.call.hang_up
        try:
            await (talk.stream() if is_streamed else talk.tell_whole())
        except ClientLeft:
            talk.exchange.status, talk.exchange.error_type = _CLIENT_LEFT, "client_left"
            log.info("client left", extra={"task_id": talk.conversation.task_id})
        except TaskRejected as error:
            talk.exchange.status, talk.exchange.error_type = error.status, error.code
            raise
        finally:
            watch.cancel()
            await self.ingress.close(talk.conversation, talk.exchange)
