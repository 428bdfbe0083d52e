"""Native tasks go on when their client leaves; it asks again whenever it likes, at any ingress."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from services.ingress import sse
from services.ingress.asked import Asked
from services.ingress.call import Call
from services.ingress.errors import ClientLeft
from services.ingress.headers import RequestHeaders
from services.ingress.ingress import Ingress
from services.ingress.journal import Facts
from services.ingress.task_request import TaskRequest
from services.ingress.understanding import Heard, hear, understand
from shared.domain.task import TaskId

_ACCEPTED: Final = 202


@dataclass(frozen=True, slots=True)
class Submitting:
    ingress: Ingress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send)
        try:
            heard = await hear(self.ingress, call)
            request = TaskRequest.read(heard.raw)
            asked = await understand(self.ingress, call, heard, request)
            facts = await self._accepted(asked, heard)
        except ClientLeft:
            return
        place = (b"location", f"/v1/tasks/{facts['id']}".encode())
        await call.answer_json(_shown(facts), (place,), _ACCEPTED)
        asked.root.end(self.ingress.clock.now())

    async def _accepted(self, asked: Asked, heard: Heard) -> Facts:
        if asked.headers.idempotency_key is None:
            return await self.ingress.detach(asked)
        task_id = await self.ingress.once(asked, heard.digest("tasks"))
        return await self.ingress.journal.facts_of(task_id, asked.tenant.name)


@dataclass(frozen=True, slots=True)
class Looking:
    """GET tells how a task stands, DELETE that nobody wants it any more."""

    ingress: Ingress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send)
        task_id, tenant = addressed(self.ingress, call)
        facts = await self.ingress.journal.facts_of(task_id, tenant)
        if scope["method"] == "DELETE" and facts["status"] != "ended":
            await self.ingress.cancel(task_id, str(facts["model"]))
            facts["status"] = "cancelling"
        await call.answer_json(_shown(facts))


@dataclass(frozen=True, slots=True)
class Following:
    """The events of a task as they come, from the one after `Last-Event-ID`."""

    ingress: Ingress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send)
        task_id, tenant = addressed(self.ingress, call)
        await self.ingress.journal.facts_of(task_id, tenant)
        after = RequestHeaders.read(scope["headers"]).last_event_id
        events = self.ingress.journal.events(task_id, after)
        telling = asyncio.create_task(self._tell(call, events))
        leaving = asyncio.create_task(call.until_gone())
        try:
            async with self.ingress.vigil.over(task_id):
                await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            telling.cancel()
            leaving.cancel()

    async def _tell(self, call: Call, events: AsyncIterator[tuple[str, str]]) -> None:
        """Comments fill the silence; a malformed id is refused before the head is sent."""
        keep_alive_s = self.ingress.gate.knobs.keep_alive_s
        coming = asyncio.ensure_future(anext(events, None))
        is_begun = False
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=keep_alive_s)
                event = coming.result() if done else None
                if not is_begun:
                    await call.head(200, sse.HEADERS)
                    is_begun = True
                if not done:
                    await call.write(sse.KEEP_ALIVE)
                    continue
                if event is None:
                    await call.finish()
                    return
                await call.write(sse.event_with_id(*event))
                coming = asyncio.ensure_future(anext(events, None))
        finally:
            coming.cancel()


def addressed(ingress: Ingress, call: Call) -> tuple[TaskId, str]:
    """Which task, and for whom. Raises Unauthenticated."""
    headers = RequestHeaders.read(call.scope["headers"])
    tenant = ingress.gate.tenants.of(headers.authorization)
    return TaskId(call.scope["path_params"]["task_id"]), tenant.name


def _shown(facts: Facts) -> bytes:
    """Which of the house's doors writes it down is the house's own affair."""
    return json.dumps({name: fact for name, fact in facts.items() if name != "ingress"}).encode()
