"""What nobody could have kept, where some requests are chains."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.bound.promised import chain_parts
from loadgen.bound.upper_bound import upper_bound
from loadgen.workloads.chains import ChainArrival, text_of
from shared.domain.chain import Stage
from shared.tasks.chain import Chain
from tests.builders import REFERENCE
from tests.unit.test_simulator import an_arrival
from tests.unit.test_upper_bound import SERIAL, keeps_all_parts

# Seconds of a translation: 20. One token of prompt is a millisecond of the serial engine.
_LEAST = 100


def a_chain(at_s: float, *prompts: int) -> ChainArrival:
    """Each stage is asked something so long, and answers one token."""
    stages = tuple(
        Stage(name=f"s{at}", kind="translation", prompt=text_of(prompt), max_tokens=1)
        for at, prompt in enumerate(prompts)
    )
    return ChainArrival(
        at_s=at_s,
        kind="translation",
        tenant="tenant-1",
        plan=Chain(stages=stages),
        answer_tokens=((1,),) * len(prompts),
    )


chains = st.lists(
    st.builds(
        lambda at_s, prompts: a_chain(2.0 * at_s, *prompts),
        st.integers(0, 8),
        st.lists(st.integers(_LEAST, 9_000), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=5,
)


def most_kept(asked: list[ChainArrival]) -> int:
    """Windows that leave room for what comes before and after make deadlines order the steps."""
    work = [chain_parts(chain, SERIAL) for chain in asked]
    feasible = [parts for parts in work if all(part.fits() for part in parts)]
    return next(
        count
        for count in range(len(feasible), -1, -1)
        if any(
            keeps_all_parts([part for parts in chosen for part in parts])
            for chosen in combinations(feasible, count)
        )
    )


@settings(deadline=None, max_examples=40)
@given(asked=chains)
def test_no_choice_of_chains_keeps_more_than_the_bound(asked: list[ChainArrival]) -> None:
    bound = upper_bound([], SERIAL, 1, asked).attainment * len(asked)

    assert bound >= most_kept(asked) - 1e-6


def test_a_later_step_cannot_run_ahead_of_the_one_it_is_made_of() -> None:
    """Two short first steps and long second ones: the engine is idle while it may not begin."""
    chain = a_chain(0.0, 4_000, 4_000, 4_000)
    busy = [replace(an_arrival(2.0 * i, kind="summarization", prompt=1_900)) for i in range(9)]
    crowd = [replace(chain, at_s=0.0), replace(chain, at_s=0.1)]

    assert upper_bound(busy, SERIAL, 1, crowd).attainment < 1.0


def test_a_chain_longer_than_its_promise_is_not_kept_by_the_bound() -> None:
    asked = [a_chain(0.0, 11_000, 11_000), a_chain(0.0, 1_000, 1_000)]

    assert upper_bound([], REFERENCE, 4, asked).kept[1] == 1.0
    assert upper_bound([], SERIAL, 4, asked).kept == [0.0, 1.0]


def test_a_step_has_the_time_that_the_others_leave_it() -> None:
    first, second, third = chain_parts(a_chain(5.0, 1_000, 2_000, 3_000), SERIAL)

    assert [round(part.from_at, 2) for part in (first, second, third)] == [5.0, 6.0, 8.0]
    assert [round(part.until_at, 2) for part in (first, second, third)] == [20.0, 22.0, 25.0]
