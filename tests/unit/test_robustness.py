"""What wrong beliefs cost is judged by what was truly promised."""

from dataclasses import replace

from loadgen.robustness import ERRORS, NONE, play_with_error
from loadgen.simulator.playing import Scene, play
from loadgen.workloads.mixes import REFERENCE as MIX
from tests.builders import REFERENCE

SCENE = Scene(
    mix=MIX, profile=REFERENCE, arrivals="gamma", load=1.0, workers=1, duration_s=15.0, seed=5
)


def test_where_nothing_is_wrong_the_scene_is_played_as_ever() -> None:
    attainment, _ = play_with_error(SCENE, "cato", ERRORS[NONE])

    assert attainment == play(SCENE, "cato", SCENE.workload()).figures.total.attainment


def test_every_option_of_the_scene_is_heard_where_beliefs_are_wrong() -> None:
    scene = replace(
        SCENE, load=2.0, is_typing=True, prefix_share=0.75, retries=2, backoff_s=0.2, report_s=0.3
    )

    attainment, _ = play_with_error(scene, "cato", ERRORS[NONE])

    assert attainment == play(scene, "cato", scene.workload()).figures.total.attainment


def test_a_speed_that_was_believed_wrong_is_learned_from_the_workers() -> None:
    sound, _ = play_with_error(SCENE, "cato", ERRORS[NONE])

    learned, _ = play_with_error(SCENE, "cato", ERRORS["c0 × 2, then learned"])

    assert abs(learned - sound) < 0.03
