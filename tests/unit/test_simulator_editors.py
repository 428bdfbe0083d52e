"""Editors in virtual time: they type on, leave, and begin as they began before."""

from dataclasses import replace

import pytest

from loadgen.simulator.playing import Scene, play, play_with
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.mixes import REFERENCE as REFERENCE_MIX
from shared.scheduling.policies.cato import Cato
from tests.builders import REFERENCE

SCENE = Scene(
    mix=REFERENCE_MIX,
    profile=REFERENCE,
    arrivals="gamma",
    load=1.5,
    workers=6,
    duration_s=8.0,
    seed=7,
    is_typing=True,
    prefix_share=0.75,
)


def a_keystroke(at_s: float = 0.0, *, cut: int = 1, cancel_at_s: float | None = None) -> Arrival:
    return Arrival(
        at_s=at_s,
        kind="completion",
        route="/v1/completions",
        prompt_tokens=2000,
        output_tokens=20,
        tenant="tenant-1",
        cut=cut,
        seed=0,
        session="editor-1",
        cancel_at_s=cancel_at_s,
    )


@pytest.mark.parametrize(
    ("scene", "cut", "cached_tokens"),
    [(SCENE, 1, 1488), (SCENE, 2, 0), (replace(SCENE, prefix_share=0.0), 1, 0)],
    ids=["same place", "another place", "no cache"],
)
def test_an_engine_skips_what_it_holds_of_the_place_where_one_types(
    scene: Scene, cut: int, cached_tokens: int
) -> None:
    keystrokes = [a_keystroke(0.0), a_keystroke(1.0, cut=cut)]

    first, second = play(scene, "cato", keystrokes).observations

    assert first.ttft_s is not None
    assert second.ttft_s is not None
    saved_s = cached_tokens * REFERENCE.step_time.prefill_s
    assert first.ttft_s - second.ttft_s == pytest.approx(saved_s, abs=1e-6)
    assert (first.worker == second.worker) == (cached_tokens > 0)


def test_more_promises_are_kept_by_whoever_waits_for_its_home() -> None:
    workload = SCENE.workload()
    uncached = replace(SCENE, prefix_share=0.0)

    without = play_with(uncached, Cato(), workload).figures.total.on_time
    anywhere = play_with(SCENE, Cato(home_price=-1.0), workload).figures.total.on_time
    at_home = play_with(SCENE, Cato(), workload).figures.total.on_time

    assert without < anywhere < at_home


def test_what_an_engine_did_for_whoever_left_before_the_promise_was_kept_is_wasted() -> None:
    def wasted_s(leaves_at_s: float | None) -> float:
        workload = [a_keystroke(cancel_at_s=leaves_at_s), a_keystroke(1.0)]
        return play(SCENE, "cato", workload).wasted_share * SCENE.workers * SCENE.duration_s

    in_its_prefill, with_its_first_token, after_all = 0.04, 0.2, None
    assert wasted_s(in_its_prefill) == pytest.approx(REFERENCE.first_token_s(2000))
    assert wasted_s(with_its_first_token) == wasted_s(after_all) == 0


def test_who_leaves_during_its_last_step_has_wasted_all_steps_before() -> None:
    step_s = REFERENCE.decode_s(2000, 20) / 20
    leaves_at_s = REFERENCE.alone_s(2000, 20) - step_s / 2 - SCENE.hop_s
    leaver = replace(a_keystroke(cancel_at_s=leaves_at_s), kind="translation", session=None)

    played = play(SCENE, "cato", [leaver, a_keystroke(1.0)])

    wasted_s = played.wasted_share * SCENE.workers * SCENE.duration_s
    assert wasted_s == pytest.approx(REFERENCE.alone_s(2000, 19), abs=1e-4)
