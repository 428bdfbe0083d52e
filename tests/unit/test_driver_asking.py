"""What goes over the wire says what the arrival says, and no more."""

import json

from loadgen.drivers.asking import Manner, Request
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.corpus import Prompt
from loadgen.workloads.mixes import ROUTES, Route
from shared.domain.task import Promise
from shared.tasks import TASKS
from tests.builders import REFERENCE


def asked(  # noqa: PLR0913  a builder has one argument for everything a test may care about
    kind: str = "completion",
    *,
    route: Route | None = None,
    tenant: str = "tenant-1",
    cancel_at_s: float | None = None,
    superseded: bool = False,
    batch: bool = False,
    keys: tuple[str, ...] = (),
    declares_kind: bool = False,
    ignores_eos: bool = True,
    sends_suffix: bool = True,
) -> Request:
    manner = Manner(
        model="m",
        alone=REFERENCE,
        keys=keys,
        declares_kind=declares_kind,
        ignores_eos=ignores_eos,
        sends_suffix=sends_suffix,
    )
    arrival = Arrival(
        at_s=1.0,
        kind=kind,
        route=route or ROUTES[kind],
        prompt_tokens=2_500,
        output_tokens=7,
        tenant=tenant,
        cut=1,
        seed=5,
        language="go" if kind == "translation" else None,
        cancel_at_s=cancel_at_s,
        superseded=superseded,
        batch=batch,
    )
    return manner.ask(arrival, Prompt(text="x", suffix="y", code="z"))


def test_length_and_seed_are_those_of_the_workload() -> None:
    body = json.loads(asked().body)

    assert (body["max_tokens"], body["seed"], body["ignore_eos"]) == (7, 5, True)
    assert body["stream_options"] == {"include_usage": True}


def test_a_server_that_refuses_a_suffix_is_sent_what_an_editor_would_render() -> None:
    body = json.loads(asked(sends_suffix=False).body)

    assert body["prompt"] == "<|fim_prefix|>x<|fim_suffix|>y<|fim_middle|>"
    assert "suffix" not in body


def test_a_server_that_refuses_ignore_eos_is_not_sent_it() -> None:
    assert "ignore_eos" not in json.loads(asked(ignores_eos=False).body)


def test_the_promise_is_that_of_the_kind() -> None:
    assert asked("translation").promise == TASKS["translation"].promise


def test_the_kind_is_kept_from_the_server_unless_it_is_declared() -> None:
    assert "x-cato-task" not in asked().headers
    assert asked(declares_kind=True).headers["x-cato-task"] == "completion"


def test_batch_is_declared_because_no_text_tells_it() -> None:
    request = asked("summarization", batch=True)

    assert (request.kind, request.promise) == ("batch", Promise())
    assert request.headers["x-cato-task"] == "batch"


def test_each_tenant_has_its_key_and_keys_go_round() -> None:
    keys = ("first", "second")

    told = [asked(tenant=f"tenant-{i}", keys=keys).headers["authorization"] for i in (1, 2, 3)]

    assert told == ["Bearer first", "Bearer second", "Bearer first"]


def test_keys_do_not_show_when_a_manner_is_printed() -> None:
    assert "secret" not in repr(Manner(model="m", alone=REFERENCE, keys=("secret",)))


def test_only_who_is_not_replaced_hangs_up() -> None:
    assert asked(cancel_at_s=1.25).hangs_up
    assert not asked(cancel_at_s=1.25, superseded=True).hangs_up
    assert asked(cancel_at_s=1.25).wanted_s == 0.25


def test_a_translation_task_names_its_languages() -> None:
    body = json.loads(asked("translation", route="/v1/tasks").body)

    assert (body["kind"], body["code"], body["language"]) == ("translation", "z", "python")
    assert body["target_language"] == "go"


def test_what_it_takes_alone_counts_prefill_in_chunks() -> None:
    assert asked().alone_s == REFERENCE.alone_s(2_500, 7)
