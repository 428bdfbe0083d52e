"""The way to one server and back: connections, limits, and what went wrong in words."""

import asyncio
import ssl
from http import HTTPStatus
from typing import Final

import aiohttp
from pydantic import JsonValue

from services.worker.engine import EngineDied, EngineError, EngineUnavailable
from services.worker.engines.openai_metrics import ServerLoad
from services.worker.engines.openai_server import Listing, Server
from services.worker.engines.sse import MalformedStream
from shared.domain.errors import SettingsError

_PROBE_S: Final = 2.0
# Below the 5 s after which servers on uvicorn close an idle connection: one that the server closes
# just as a job is sent on it costs the job a repetition.
_IDLE_S: Final = 4.0
_NO_KEY: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

Broken = (aiohttp.ClientError, OSError, MalformedStream, EngineError)


class Http:
    """Jobs share its connections; each has one of its own while it streams."""

    def __init__(self, server: Server) -> None:
        self.server: Final = server
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Raises SettingsError."""
        key, limit_s = self.server.api_key, self.server.connect_s
        self._session = aiohttp.ClientSession(
            # The feeder limits what runs at once; a second limit here would only hide it.
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_IDLE_S, ssl=_trusting(self.server)
            ),
            headers={} if key is None else {"authorization": f"Bearer {key}"},
            # With the name's resolution and the TLS handshake.
            timeout=aiohttp.ClientTimeout(total=None, connect=limit_s, sock_connect=limit_s),
        )

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(
        self, path: str, payload: dict[str, JsonValue], headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """The head of the response; cancelled, it closes the connection. Raises EngineDied."""
        if self._session is None:
            raise EngineDied("the engine is not started")
        return await self._session.post(f"{self.server.url}{path}", json=payload, headers=headers)

    async def listing(self) -> Listing:
        """Raises EngineUnavailable while it does not serve, SettingsError where it never will."""
        status, body = await self._get(f"{self.server.url}/models")
        if status in _NO_KEY:
            raise SettingsError(
                f"{self.server.url} answers {status}; set CATO_ENGINE_API_KEY to a key that it"
                " accepts"
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise EngineUnavailable(f"it answers {status}")
        return Listing.read(body)

    async def load(self) -> ServerLoad | None:
        """What it measures of itself, or None where it does not. Raises EngineUnavailable."""
        status, body = await self._get(self.server.metrics_url)
        page = body.decode(errors="replace")
        return ServerLoad.read(page) if status == HTTPStatus.OK else None

    async def is_up(self) -> bool:
        try:
            await self.listing()
        except (EngineError, SettingsError):
            return False
        return True

    def words(self, error: Exception) -> str:
        """What happened, and what to look at."""
        match error:
            case aiohttp.ServerTimeoutError():
                return str(self.server.no_connection())
            case aiohttp.ClientConnectorCertificateError():
                return (
                    f"the certificate of {self.server.url} is not trusted:"
                    f" {error.certificate_error}; set CATO_ENGINE_CA_FILE to its authority's"
                )
            case aiohttp.ClientConnectorSSLError():
                return (
                    f"no TLS with {self.server.url}: {error.os_error}; it may want http:// instead"
                )
            case _:
                return f"{type(error).__name__}: {error}"

    async def translated(self, error: Exception) -> EngineError:
        """A broken connection to a server that still answers is bad luck, else it is dead."""
        if isinstance(error, EngineError):
            return error
        said = f"the server broke off: {self.words(error)}"
        if isinstance(error, MalformedStream) or await self.is_up():
            return EngineUnavailable(said)
        return EngineDied(said)

    async def _get(self, url: str) -> tuple[int, bytes]:
        if self._session is None:
            raise EngineDied("the engine is not started")
        try:
            async with asyncio.timeout(_PROBE_S), self._session.get(url) as response:
                return response.status, await response.read()
        except aiohttp.ClientConnectorCertificateError as error:
            raise SettingsError(self.words(error)) from error
        except aiohttp.ClientError as error:
            raise EngineUnavailable(self.words(error)) from error
        except TimeoutError as error:
            raise EngineUnavailable(f"no answer within {_PROBE_S:g} s") from error
        except OSError as error:
            raise EngineUnavailable(self.words(error)) from error


def _trusting(server: Server) -> ssl.SSLContext | bool:
    if server.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=server.ca_file)
    except OSError as error:
        raise SettingsError(
            f"CATO_ENGINE_CA_FILE: {server.ca_file} holds no certificates: {error}"
        ) from error
