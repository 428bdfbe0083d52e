"""An engine of somebody else's is looked for before a house is built around it."""

import asyncio
from http import HTTPStatus
from typing import Final

import aiohttp
from pydantic import BaseModel, ValidationError

from deploy.local.errors import EngineUnreachable

_ANSWERS_WITHIN_S: Final = 5.0
_MAY_ASK_WHO: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class _Listed(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Listed]


async def models_at(url: str) -> tuple[str, ...]:
    """What the engine lists, or nothing where it tells that to friends only."""
    where = f"{url.rstrip('/')}/models"
    try:
        status, said = await _asked(where)
    except TimeoutError as error:
        raise EngineUnreachable(f"{where} is silent", _REMEDY) from error
    except (aiohttp.ClientError, OSError) as error:
        raise EngineUnreachable(f"no engine answers at {where}: {error}", _REMEDY) from error
    if status in _MAY_ASK_WHO:
        return ()
    if status != HTTPStatus.OK:
        raise EngineUnreachable(f"{where} answers {status}", _REMEDY)
    try:
        return tuple(model.id for model in _Models.model_validate_json(said).data)
    except ValidationError as error:
        raise EngineUnreachable(f"{where} lists no models", _REMEDY) from error


_REMEDY: Final = (
    "start the engine first, or correct --engine-url (an OpenAI-compatible one mostly ends in /v1)"
)


async def _asked(where: str) -> tuple[int, bytes]:
    limit = aiohttp.ClientTimeout(total=_ANSWERS_WITHIN_S)
    # The outer limit also bounds the search for the host's address.
    async with (
        asyncio.timeout(_ANSWERS_WITHIN_S),
        aiohttp.ClientSession(timeout=limit) as http,
        http.get(where) as answer,
    ):
        return answer.status, await answer.read()
