"""A name that is written in two places will one day be written in two ways."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from shared.telemetry import instruments, names
from shared.telemetry.service import use_service

ROOT = Path(__file__).parents[2]
DECLARED = {value for value in vars(names).values() if isinstance(value, str)}
LOOKS_LIKE_A_NAME = re.compile(r"(cato|gen_ai|messaging)\.[a-z_]+(\.[a-z_]+)*")
RECORDING = frozenset({"record_span", "begin_root", "record", "add", "set"})


def the_code() -> Iterator[tuple[Path, ast.AST]]:
    for part in ("services", "shared", "loadgen", "deploy"):
        for path in sorted((ROOT / part).rglob("*.py")):
            if path.name != "names.py":
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    yield path, node


def test_no_telemetry_name_is_written_outside_its_list() -> None:
    loose = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path, node in the_code()
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and LOOKS_LIKE_A_NAME.fullmatch(node.value)
    }

    assert loose == set()


def test_spans_and_labels_are_named_by_constants() -> None:
    loose = {
        f"{path.relative_to(ROOT)}:{node.lineno} {key.value!r}"
        for path, node in the_code()
        if isinstance(node, ast.Call) and called(node) in RECORDING
        for key in literal_names(node)
    }

    assert loose == set()


def test_every_recording_uses_the_declared_labels() -> None:
    undeclared = {
        f"{path.relative_to(ROOT)}:{node.lineno} {instrument} {label}"
        for path, node in the_code()
        if isinstance(node, ast.Call) and called(node) in {"record", "add", "set"}
        for instrument, label in labels_of(node)
        if getattr(names, label) not in instruments.LABELS.get(instrument, frozenset())
    }

    assert undeclared == set()


def test_labels_are_declared_for_instruments_that_exist() -> None:
    assert set(instruments.LABELS) <= set(declared_instruments())


def test_every_instrument_has_a_metric_of_its_own() -> None:
    ours = [name for name in exposed_families() if name.startswith(("cato_", "gen_ai_"))]

    assert len(ours) == len(declared_instruments())


def test_prometheus_sees_seconds_totals_and_no_scope() -> None:
    exposed = exposed_families()

    assert exposed["gen_ai_server_time_to_first_token_seconds"] == "histogram"
    assert exposed["cato_tasks"] == "counter"
    assert exposed["cato_backlog_seconds"] == "gauge"
    assert exposed["cato_gpu_wasted_seconds"] == "counter"
    assert b"otel_scope" not in generate_latest()


def test_the_buckets_are_those_of_the_conventions() -> None:
    assert instruments.DURATION_BUCKETS[0] == 0.01
    assert instruments.DURATION_BUCKETS[-1] == 81.92
    assert len(instruments.TTFT_BUCKETS) == 16


def test_what_a_client_wrote_becomes_a_label_only_when_it_is_known() -> None:
    assert instruments.known("cato-demo", {"cato-demo"}) == "cato-demo"
    assert instruments.known("x" * 10_000, {"cato-demo"}) == "other"


def declared_instruments() -> dict[str, object]:
    return {
        name: value
        for name, value in vars(instruments).items()
        if not name.startswith("_") and is_instrument(value)
    }


def is_instrument(value: object) -> bool:
    return any(hasattr(value, verb) for verb in ("record", "add", "set"))


def exposed_families() -> dict[str, str]:
    """Record once on every instrument; what Prometheus then reads, with its type."""
    with use_service("tests"):
        for instrument in declared_instruments().values():
            for verb in ("record", "add", "set"):
                getattr(instrument, verb, lambda _: None)(1)
    families = text_string_to_metric_families(generate_latest().decode())
    return {family.name: family.type for family in families}


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def labels_of(node: ast.Call) -> Iterator[tuple[str, str]]:
    """Instrument and label, as constants are written: `tasks.add(1, {names.KIND: …})`."""
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else node.func
    instrument = receiver.attr if isinstance(receiver, ast.Attribute) else ast.unparse(receiver)
    if instrument in declared_instruments():
        for argument in node.args:
            if isinstance(argument, ast.Dict):
                for key in argument.keys:
                    if isinstance(key, ast.Attribute):
                        yield instrument, key.attr


def literal_names(node: ast.Call) -> Iterator[ast.Constant]:
    """A literal first argument of a span, or literal keys among a recording's attributes."""
    if called(node) in {"record_span", "begin_root"} and isinstance(node.args[0], ast.Constant):
        yield node.args[0]
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        if isinstance(argument, ast.Dict):
            yield from (key for key in argument.keys if isinstance(key, ast.Constant))
