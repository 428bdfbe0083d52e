"""A test waits for a condition with a name and a limit, never for luck."""

import asyncio
from collections.abc import Callable
from typing import Final

# Far more than a busy machine takes to start a process; what hangs is found out all the same.
WITHIN_S: Final = 60.0
# A pause that took longer than this many of its kind was the machine's doing.
_PAUSES: Final = 3


async def eventually(
    is_so: Callable[[], bool],
    *,
    saying: str,
    within_s: float = WITHIN_S,
    every_s: float = 0.005,
) -> None:
    """Return as soon as `is_so`; raise AssertionError with `saying` after `within_s`.

    Of a pause in which the machine was busy with others only a part counts, so that a short limit
    is a promise of what is tested and not of the machine.
    """
    now, waited_s = asyncio.get_running_loop().time, 0.0
    while not is_so():
        assert waited_s < within_s, f"not within {within_s:g} s: {saying}"
        began = now()
        await asyncio.sleep(every_s)
        waited_s += min(now() - began, _PAUSES * every_s)
