"""Chains in virtual time: a step comes when those before it have ended."""

from dataclasses import replace

import pytest

from loadgen.chains import MANNERS, OURS, ChainRow, play_chains, rows_of, workload_of
from loadgen.chains_table import markdown, ratio
from loadgen.report.figures import Figures
from loadgen.simulator.playing import Scene
from loadgen.workloads.chains import CHAINS, ChainArrival, text_of
from shared.domain.chain import Stage
from shared.tasks.chain import Chain, tokens_in
from tests.builders import REFERENCE

SCENE = Scene(
    mix=CHAINS, profile=REFERENCE, arrivals="gamma", load=1.5, workers=1, duration_s=12.0, seed=5
)


def a_chain(*answers: tuple[int, ...]) -> ChainArrival:
    stages = tuple(
        Stage(
            name=f"s{at}",
            kind="translation",
            prompt="{item}" if len(tokens) > 1 else "{previous}" if at else "{input}",
            max_tokens=4_000,
            over=tuple(map(text_of, tokens)) if len(tokens) > 1 else (),
        )
        for at, tokens in enumerate(answers)
    )
    plan = Chain(stages=stages, given={"input": text_of(500)})
    return ChainArrival(
        at_s=0.0, kind="translation", tenant="tenant-1", plan=plan, answer_tokens=answers
    )


def played(chain: ChainArrival, manner: str = OURS) -> Figures:
    return play_chains(SCENE, MANNERS[manner], ([], [chain]))


def alone_s(chain: ChainArrival) -> float:
    """Each stage as long as its longest branch, and a hop before each and between them."""
    stages = [
        max(REFERENCE.alone_s(call.prompt_tokens, call.output_tokens) for call in chain.calls(at))
        for at in chain.stages()
    ]
    return sum(stages) + (2 * len(stages) - 1) * SCENE.hop_s


@pytest.mark.parametrize("manner", MANNERS)
def test_a_lone_chain_takes_its_steps_one_after_the_other(manner: str) -> None:
    chain = a_chain((100,), (300,), (200,))

    total = played(chain, manner).total

    assert total.e2e_s.answered.p50 == pytest.approx(alone_s(chain), abs=0.02)
    assert total.on_time == 1


def test_a_step_is_asked_about_what_the_one_before_it_answered() -> None:
    chain = a_chain((100,), (300,))

    assert [call.prompt_tokens for call in chain.calls(1)] == [100]


def test_the_branches_of_a_stage_run_side_by_side() -> None:
    chain = a_chain((50, 400, 50), (10,))

    took_s = played(chain).total.e2e_s.answered.p50

    assert took_s is not None
    assert alone_s(chain) <= took_s < alone_s(chain) + 0.3


def test_a_stage_that_is_left_out_takes_no_time() -> None:
    mended, parsed = a_chain((100,), (300,), (300,)), a_chain((100,), (300,), ())

    slow, fast = (played(each).total.e2e_s.answered.p50 for each in (mended, parsed))

    assert slow is not None and fast is not None and slow > fast + 1.5


def test_a_chain_that_can_only_be_late_is_given_up_with_all_its_branches() -> None:
    crowd = [replace(a_chain((3_000, 3_000), (3_900,)), at_s=0.01 * i) for i in range(5)]

    total = play_chains(SCENE, MANNERS[OURS], ([], crowd)).total

    assert (total.requests, total.on_time) == (5, 0)
    assert total.shed + total.expired == 5


@pytest.mark.parametrize("manner", MANNERS)
def test_every_request_and_every_chain_ends_once(manner: str) -> None:
    singles, chains = workload_of(SCENE)

    total = play_chains(SCENE, MANNERS[manner], (singles, chains)).total

    assert chains
    assert total.requests == len(singles) + len(chains)


def test_nobody_is_above_the_bound() -> None:
    rows = rows_of(replace(SCENE, duration_s=5.0), bounded=True)

    assert all(row.upper_bound is not None for row in rows)
    assert all(row.attainment <= (row.upper_bound or 0.0) + 1e-9 for row in rows)


def test_a_text_is_counted_as_long_as_it_was_asked_to_be() -> None:
    assert [tokens_in(text_of(tokens)) for tokens in (1, 77, 8_000)] == [1, 77, 8_000]


def a_row(manner: str, seed: int, on_time: int) -> ChainRow:
    return ChainRow(
        manner=manner,
        load=1.0,
        seed=seed,
        workers=2,
        chains=100,
        chains_on_time=on_time,
        attainment=0.5,
        kind_mean=0.5,
        by_kind={"completion": 0.5, "translation": on_time / 100},
        upper_bound=None,
    )


def test_a_ratio_that_is_the_same_for_every_seed_is_certain() -> None:
    ours = [a_row(OURS, seed, 60 + 6 * seed) for seed in (1, 2, 3)]
    theirs = [a_row("theirs", seed, 50 + 5 * seed) for seed in (1, 2, 3)]

    assert ratio(ours, theirs) == "1.20 ± 0.00"


def test_the_table_shows_every_manner_and_what_it_cost_the_others() -> None:
    told = markdown([a_row(manner, seed, 40) for manner in MANNERS for seed in (1, 2)])

    assert all(f"| {manner} | 80 |" in told for manner in MANNERS)
    assert "completion" in told
