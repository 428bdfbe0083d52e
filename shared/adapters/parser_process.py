"""Code that a model wrote is parsed in a process of its own: it may be slow, deep or malign."""

import asyncio
import contextlib
import logging
import sys
from typing import Final

from shared.adapters.parser_child import DOES_NOT, PARSES

log = logging.getLogger(__name__)

_WITHIN_S: Final = 10.0
_AT_ONCE: Final = 2


class ParserProcess:
    """What is not parsed in time does not parse: the model is asked to write it again."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def parses(self, language: str, answer: str) -> bool:
        async with self._room:
            code = await self._run(language, answer.encode("utf-8", "replace"))
        if code not in (PARSES, DOES_NOT):
            log.warning("parser gave up", extra={"language": language, "exit_code": code})
        return code == PARSES

    async def _run(self, language: str, answer: bytes) -> int | None:
        """The exit code; None when it took too long."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shared.adapters.parser_child", language),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_WITHIN_S):
                await process.communicate(answer)
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return process.returncode
