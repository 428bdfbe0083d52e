"""When the next prompt enters an engine."""

from shared.scheduling.feeding import EngineNow, Holding, Running
from tests.builders import REFERENCE, a_task

HOLDING = Holding.of(REFERENCE)


def an_engine(
    *, prefill_tokens: int = 0, step_s: float = 0.08, decoding_s: float = 0.0
) -> EngineNow:
    return EngineNow(
        prefill_tokens=prefill_tokens, step_s=step_s, decode_step_s=0.007, decoding_s=decoding_s
    )


def a_whole(e2e_s: float) -> Running:
    running = Running.of(a_task("whole", e2e_s=e2e_s, output_tokens=100), 20)
    assert running is not None
    return running


PROMPT = a_task("next", ttft_s=0.3, prompt_tokens=2000)
# Two seconds left for eighty tokens: steps of 25 ms, where they take 80.
HURRIED = a_whole(e2e_s=2.0)
EASY = a_whole(e2e_s=20.0)


def test_one_prompt_enters_at_a_time() -> None:
    waiting = [PROMPT, a_task("after")]

    assert HOLDING.feed(waiting, [], an_engine(), now=0, free=9).enter == (0,)
    assert HOLDING.feed(waiting, [], an_engine(prefill_tokens=500), now=0, free=9).enter == ()


def test_short_prompts_enter_together_while_their_step_stays_short() -> None:
    waiting = [a_task(name, prompt_tokens=300) for name in ("a", "b", "c")]

    assert HOLDING.feed(waiting, [], an_engine(), now=0, free=9).enter == (0, 1)
    assert HOLDING.feed(waiting, [], an_engine(), now=0, free=1).enter == (0,)


def test_a_short_prompt_joins_a_short_one_that_is_inside_and_no_other_does() -> None:
    for waits, inside, enters in ((300, 300, (0,)), (300, 500, ()), (600, 300, ())):
        waiting = [a_task("next", prompt_tokens=waits)]
        engine = an_engine(prefill_tokens=inside)

        assert HOLDING.feed(waiting, [], engine, now=0, free=9).enter == enters


def test_prompts_enter_in_the_order_in_which_they_came() -> None:
    waiting = [a_task("short", prompt_tokens=300), PROMPT, a_task("other", prompt_tokens=300)]

    assert HOLDING.feed(waiting, [], an_engine(), now=0, free=9).enter == (0,)


def test_the_next_prompt_is_held_back_while_whole_answers_are_at_risk() -> None:
    fed = HOLDING.feed([PROMPT], [EASY, HURRIED, HURRIED, HURRIED], an_engine(), now=0, free=9)

    assert fed.enter == ()
    assert fed.again_s == 0.007


def test_a_prompt_is_not_held_back_for_two_whole_answers() -> None:
    assert HOLDING.feed([PROMPT], [HURRIED, HURRIED], an_engine(), now=0, free=9).enter == (0,)


def test_nobody_is_held_whose_own_first_token_would_then_be_late() -> None:
    # Held for 28 ms and prefilled in 87 it would come at 0.115.
    for ttft_s, enters in ((0.13, ()), (0.11, (0,))):
        waiting = [a_task("next", ttft_s=ttft_s, prompt_tokens=2000)]

        assert HOLDING.feed(waiting, [HURRIED] * 3, an_engine(), now=0, free=9).enter == enters


def test_none_of_those_who_enter_together_is_held_for_too_long() -> None:
    patient, urgent = (
        a_task(name, ttft_s=ttft_s, prompt_tokens=300) for name, ttft_s in (("p", 1), ("u", 0.04))
    )

    fed = HOLDING.feed([patient, urgent], [HURRIED] * 3, an_engine(), now=0, free=9)

    assert fed.enter == (0, 1)


def test_a_whole_answer_that_waits_can_be_held() -> None:
    waiting = [a_task("next", e2e_s=0.01, prompt_tokens=2000)]

    assert HOLDING.feed(waiting, [HURRIED] * 3, an_engine(), now=0, free=9).enter == ()


def test_nobody_is_held_for_a_promise_with_time_to_spare() -> None:
    assert HOLDING.feed([PROMPT], [EASY, EASY], an_engine(), now=0, free=9).enter == (0,)


def test_nobody_is_held_for_a_promise_that_is_lost() -> None:
    assert HOLDING.feed(
        [PROMPT], [HURRIED, HURRIED, HURRIED], an_engine(), now=1.9, free=9
    ).enter == (0,)


def test_a_prompt_is_held_for_a_few_steps_only() -> None:
    fed = HOLDING.feed(
        [PROMPT], [HURRIED, HURRIED, HURRIED], an_engine(decoding_s=0.03), now=0, free=9
    )

    assert fed.enter == (0,)
