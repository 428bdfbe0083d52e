"""Whatever is admitted, the batch gives each sequence its tokens and never holds too much."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.batching import Batch, Sequence, Step
from shared.scheduling.step_time import EngineProfile
from tests.builders import REFERENCE

TINY = replace(REFERENCE, chunk_tokens=8, max_sequences=4, kv_capacity_tokens=40, context_tokens=40)


@dataclass(frozen=True)
class Arrival:
    """Admitted before this step, and taken out again before that one."""

    at_step: int
    prompt_tokens: int
    output_tokens: int
    priority: int
    leaves_at_step: int | None


arrivals = st.lists(
    st.builds(
        Arrival,
        at_step=st.integers(0, 30),
        prompt_tokens=st.integers(1, 25),
        output_tokens=st.integers(1, 15),
        priority=st.integers(0, 2),
        leaves_at_step=st.none() | st.integers(0, 60),
    ),
    max_size=12,
)


def a_sequence(prompt_tokens: int = 10, output_tokens: int = 3, priority: int = 0) -> Sequence:
    return Sequence(prompt_tokens=prompt_tokens, output_tokens=output_tokens, priority=priority)


def run_all(profile: EngineProfile, *sequences: Sequence) -> list[Step]:
    batch = Batch(profile=profile)
    for sequence in sequences:
        batch.admit(sequence)
    steps: list[Step] = []
    while (step := batch.next_step()) is not None:
        steps.append(step)
    return steps


def played(arriving: list[Arrival]) -> tuple[Batch, list[Step], dict[Sequence, Arrival]]:
    """Let everything arrive and leave as it says, and run until nothing is left."""
    batch = Batch(profile=TINY)
    sequences = {
        a_sequence(one.prompt_tokens, one.output_tokens, one.priority): one for one in arriving
    }
    steps: list[Step] = []
    for number in range(2000):
        for sequence, one in sequences.items():
            if one.at_step == number and one.leaves_at_step != number:
                batch.admit(sequence)
            elif one.leaves_at_step == number:
                batch.remove(sequence)
        step = batch.next_step()
        assert batch.reserved_tokens <= TINY.kv_capacity_tokens
        assert batch.running <= TINY.max_sequences
        if step is not None:
            steps.append(step)
        elif number > 61:
            break
    return batch, steps, sequences


@given(arrivals)
def test_every_token_is_emitted_once_and_only_while_it_is_wanted(arriving: list[Arrival]) -> None:
    _, steps, sequences = played(arriving)

    for sequence, one in sequences.items():
        emitted = sum(step.emitted.count(sequence) for step in steps)
        finished = sum(step.finished.count(sequence) for step in steps)
        assert emitted <= one.output_tokens
        assert finished == (emitted == one.output_tokens)
        if one.leaves_at_step is None:
            assert emitted == one.output_tokens


@given(arrivals)
def test_a_step_never_exceeds_its_token_budget(arriving: list[Arrival]) -> None:
    _, steps, _ = played(arriving)

    assert all(step.prefill_tokens + step.decoded <= TINY.chunk_tokens for step in steps)


@given(arrivals)
def test_nothing_is_left_over_when_everybody_is_gone(arriving: list[Arrival]) -> None:
    batch, _, _ = played(arriving)

    assert batch.is_idle()
    assert (batch.reserved_tokens, batch.unprefilled_tokens, batch.running) == (0, 0, 0)


@given(arrivals)
def test_a_step_takes_what_the_step_time_says_of_it(arriving: list[Arrival]) -> None:
    _, steps, _ = played(arriving)

    for step in steps:
        assert step.duration_s == TINY.step_time.step_s(
            prefill_tokens=step.prefill_tokens,
            prefill_context=step.prefill_context,
            sequences=step.decoded,
            kv_tokens=step.kv_tokens,
        )


@pytest.mark.parametrize(("prompt", "output"), [(1, 1), (100, 1), (2048, 2), (5000, 60), (70, 900)])
def test_one_sequence_alone_takes_the_closed_form(prompt: int, output: int) -> None:
    steps = run_all(REFERENCE, a_sequence(prompt, output))

    took_s = sum(step.duration_s for step in steps)
    # The closed form counts KV at the middle of a token instead of at its end.
    half_a_token_s = output * REFERENCE.step_time.kv_s
    assert took_s == pytest.approx(REFERENCE.alone_s(prompt, output), abs=half_a_token_s + 1e-12)


def test_a_long_prompt_is_prefilled_in_chunks_beside_decoding() -> None:
    batch = Batch(profile=TINY)
    batch.admit(a_sequence(prompt_tokens=2, output_tokens=10))
    batch.next_step()
    batch.admit(a_sequence(prompt_tokens=20, output_tokens=1))

    chunks = [step.prefill_tokens for _ in range(3) if (step := batch.next_step())]

    assert chunks == [7, 7, 6]


def test_who_has_the_smaller_priority_overtakes_what_waits_but_not_what_runs() -> None:
    batch = Batch(profile=replace(TINY, max_sequences=1))
    running, patient, urgent = a_sequence(), a_sequence(priority=1), a_sequence(priority=-1)
    batch.admit(running)
    batch.next_step()
    batch.admit(patient)
    batch.admit(urgent)

    finished = [one for _ in range(20) if (step := batch.next_step()) for one in step.finished]

    assert finished == [running, urgent, patient]


def test_under_kv_pressure_the_last_one_is_preempted_and_still_gets_every_token() -> None:
    first, last = a_sequence(15, 20), a_sequence(15, 20)

    steps = run_all(TINY, first, last)

    assert {one for step in steps for one in step.preempted} == {last}
    assert sum(step.emitted.count(last) for step in steps) == 20


def test_what_could_not_even_run_alone_is_not_admitted() -> None:
    batch = Batch(profile=TINY)

    with pytest.raises(ValueError, match="longer than the engine can hold"):
        batch.admit(a_sequence(prompt_tokens=39, output_tokens=2))
