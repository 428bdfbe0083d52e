"""A reader names the last event it has seen by its id, and may send garbage instead."""

import re
from typing import Final

from shared.domain.errors import InvalidRequest

FROM_THE_START: Final = "0-0"

_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
# Largest number that fits wherever an id is kept.
_MOST: Final = 2**63


def checked_event_id(after: str | None) -> str:
    """Raises InvalidRequest for what was never the id of an event."""
    if after is None:
        return FROM_THE_START
    if not _ID.fullmatch(after) or max(map(int, after.split("-"))) >= _MOST:
        raise InvalidRequest(
            f"{after[:40]!r} is not the id of an event; send the last `id:` that you have read",
            param="last-event-id",
        )
    return after
