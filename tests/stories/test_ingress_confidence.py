"""A small model says how much it believes in its answer, and may be asked for more than it has."""

from collections.abc import Sequence
from math import log

import pytest

from shared.domain.outcome import FinishReason
from shared.messages.logprobs import TokenLogprob
from tests.stories.two_models import AUTO, COMPLETIONS, GOOD, a_house_of_two, models, text_of


def found_likely(*shares: float) -> list[TokenLogprob]:
    return [TokenLogprob(token="t", logprob=log(share)) for share in shares]


async def test_a_small_answer_that_its_model_believes_in_is_the_answer() -> None:
    async with a_house_of_two(confidence=0.4) as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        small = await house.task()
        await house.say(small, "2 * ", logprobs=found_likely(0.9, 0.8))
        await house.say(small, "x", at=1, finish=FinishReason.STOP, logprobs=found_likely(0.7))
        told = (await asking.done()).json()

        # Nobody else had asked how likely it was.
        assert told["choices"] == [
            {"index": 0, "logprobs": None, "text": GOOD, "finish_reason": "stop"}
        ]
        assert small.body.logprobs == 0
        assert models(house) == ["small"]


@pytest.mark.parametrize("told", [found_likely(0.9, 0.8, 0.7, 0.7), ()])
async def test_one_that_its_model_doubts_or_says_nothing_of_is_asked_of_the_large_one(
    told: Sequence[TokenLogprob],
) -> None:
    async with a_house_of_two(confidence=0.4) as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        await house.say(await house.task(), GOOD, finish=FinishReason.STOP, logprobs=told)
        large = await house.task(1)
        await house.answer(large, "x + x")

        assert text_of(await asking.done(), stream=False) == "x + x"
        assert large.body.logprobs is None


async def test_where_no_confidence_is_asked_for_the_small_model_need_not_tell_any() -> None:
    async with a_house_of_two() as house:
        asking = house.client.start("POST", COMPLETIONS, AUTO)
        small = await house.task()
        await house.answer(small, GOOD)

        assert (await asking.done()).json()["model"] == "small"
        assert small.body.logprobs is None


async def test_a_small_answer_that_nobody_will_judge_is_not_weighed() -> None:
    async with a_house_of_two(confidence=0.4) as house:
        await house.report("large", workers=0)
        house.client.start("POST", COMPLETIONS, AUTO)

        assert (await house.task()).body.logprobs is None


async def test_a_client_that_asks_how_likely_the_tokens_were_is_told_whoever_answers() -> None:
    async with a_house_of_two(confidence=0.4) as house:
        asking = house.client.start("POST", COMPLETIONS, {**AUTO, "logprobs": 3})
        small = await house.task()
        await house.say(small, GOOD, finish=FinishReason.STOP, logprobs=found_likely(0.9))

        assert b'"token_logprobs": [-0.105' in (await asking.done()).raw
        assert small.body.logprobs == 3
