"""The catalogue is what clients are promised by default."""

import pytest

from shared.domain.task import LatencyClass, Promise
from shared.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_listed_under_its_own_name(name: str) -> None:
    assert TASKS[name].name == name


@pytest.mark.parametrize(
    ("name", "promise", "useful_s"),
    [
        ("completion", Promise(ttft_s=0.3), 0.3),
        ("generation", Promise(ttft_s=1.0, tpot_s=0.05), 10.0),
        ("chat", Promise(ttft_s=1.0, tpot_s=0.05), 10.0),
        ("edit", Promise(ttft_s=1.0, tpot_s=0.05), 10.0),
        ("summarization", Promise(e2e_s=5.0), 15.0),
        ("review", Promise(e2e_s=5.0), 15.0),
        ("translation", Promise(e2e_s=20.0), 60.0),
        ("batch", Promise(), None),
    ],
)
def test_the_usual_promises_are_these(name: str, promise: Promise, useful_s: float | None) -> None:
    assert TASKS[name].promise == promise
    assert TASKS[name].useful_s == useful_s


def test_the_latency_class_follows_from_the_promise() -> None:
    by_class = {kind: {t.name for t in TASKS.values() if t.latency_class is kind}
                for kind in LatencyClass}  # fmt: skip

    assert by_class[LatencyClass.TTFT] == {"completion", "generation", "chat", "edit"}
    assert by_class[LatencyClass.BATCH] == {"batch"}


def test_an_answer_is_wanted_while_the_longest_part_of_its_promise_runs() -> None:
    promise = Promise(ttft_s=0.2, e2e_s=5.0)

    assert TASKS["summarization"].useful_for_s(promise) == 15.0
    assert TASKS["batch"].useful_for_s(promise) is None


@pytest.mark.parametrize("name", TASKS)
def test_a_rendered_request_carries_code_and_wish_unchanged(name: str) -> None:
    code = "x = '{0}'  # {language}\n```not a fence```"

    turns = TASKS[name].render(code, "python", "go", "mind the {braces}")

    assert [role for role, _ in turns] == ["system", "user"]
    assert code in turns[-1][1]
    assert "mind the {braces}" in turns[-1][1]
    assert f"````python\n{code}\n````" in turns[-1][1]


@pytest.mark.parametrize("name", TASKS)
def test_a_request_with_nothing_given_still_renders(name: str) -> None:
    turns = TASKS[name].render(None, None, None, None)

    assert all("{" not in content for _, content in turns)


@pytest.mark.parametrize("name", TASKS)
def test_the_prior_bounds_are_in_order(name: str) -> None:
    prior = TASKS[name].prior

    assert 0 < prior.output_tokens_p50 < prior.output_tokens_p90
