"""A house that serves a small and a large model, and both under one name."""

import contextlib
from collections.abc import AsyncIterator

from pydantic import JsonValue

from services.ingress.settings import Knobs
from shared.messages.catalogue import TaskSubmitted
from tests.stories.front_door import House
from tests.stories.http_clients import Exchange

COMPLETIONS = "/v1/completions"
AUTO: dict[str, JsonValue] = {
    "model": "auto",
    "prompt": "def double(x):\n    return ",
    "suffix": "\n\nprint(double(2))\n",
    "max_tokens": 8,
}
GOOD, BAD = "2 * x", "2 * (x"


@contextlib.asynccontextmanager
async def a_house_of_two(
    *, large_step_s: float = 0.0, confidence: float = 0.0
) -> AsyncIterator[House]:
    pair = {"auto": ("small", "large")}
    knobs = Knobs(small_first=pair, small_first_confidence=confidence)
    async with House.open(knobs=knobs) as house:
        await house.report("small")
        await house.report("large", step_s=large_step_s)
        yield house


def models(house: House) -> list[str]:
    return [task.model for task in house.told(TaskSubmitted)]


def text_of(asking: Exchange, *, stream: bool) -> str:
    if stream:
        return asking.text()
    match asking.json()["choices"]:
        case [{"text": str(text)}]:
            return text
        case choices:
            raise AssertionError(choices)
