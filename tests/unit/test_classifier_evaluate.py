"""The command that judges classifiers is only worth something if its data and sums are right."""

import json
from pathlib import Path

import pytest

from services.classifier.evaluate import main
from services.classifier.evaluation import Cost, Findings, read_labelled
from shared.tasks import TASKS

# A recipe's kind is always named by its client, never guessed.
ALWAYS_NAMED = {"documentation"}
DATA = Path(__file__).parent.parent / "data" / "classifier"


def test_the_held_out_requests_cover_every_kind_that_can_be_guessed() -> None:
    labelled = read_labelled(DATA / "held_out.jsonl")

    assert len(labelled) >= 400
    assert {one.kind for one in labelled} == set(TASKS) - ALWAYS_NAMED


def test_no_request_is_held_out_and_developed_on() -> None:
    held_out = {one.body.text() for one in read_labelled(DATA / "held_out.jsonl")}
    developed_on = {one.body.text() for one in read_labelled(DATA / "development.jsonl")}

    assert held_out.isdisjoint(developed_on)


def test_accuracy_counts_what_was_right() -> None:
    found = Findings(
        confusion={("chat", "chat"): 6, ("chat", "edit"): 2, ("tests", "chat"): 2},
        small=Cost(median_us=1, p99_us=2),
        large=Cost(median_us=1, p99_us=2),
    )

    assert found.accuracy() == 0.6
    assert found.class_accuracy() == 0.8
    assert found.recall("chat") == 0.75
    assert found.kinds() == ("chat", "tests")


def test_the_command_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    body = {"route": "completions", "prompt": "x", "suffix": "y", "max_tokens": 5}
    data.write_text(json.dumps({"kind": "completion", "body": body}) + "\n")

    status = main(["--data", str(data), "--json", str(tmp_path / "out.json")])

    assert status == 0
    assert "kind right            100.0%" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["per_kind"] == {"completion": 1.0}


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--data", "nowhere.jsonl"])

    assert status == 2
    assert "nowhere.jsonl" in capsys.readouterr().err
