"""Out in the world a test waits for a condition with a name and a limit, never for luck."""

import asyncio
from collections.abc import Callable


async def eventually(is_so: Callable[[], bool], *, within_s: float, saying: str) -> None:
    """Return as soon as `is_so`; fail with `saying` after `within_s`."""
    try:
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110 - the condition lies outside this process
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {saying}") from None
