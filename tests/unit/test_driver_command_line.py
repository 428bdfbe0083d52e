"""A command line that makes no sense is refused in one line that says what would."""

from pathlib import Path

import pytest

from loadgen.cli import main

_RUN = ["run", "--url", "http://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rate", "1", "--mix", "poems"], "unknown mix 'poems'; known: reference, short, editor"),
        (["--rate", "1", "--mix", "none.toml"], "none.toml: expected a readable file"),
        ([], "--arrivals poisson needs --rate"),
        (["--arrivals", "trace"], "--arrivals trace needs --trace FILE"),
        (["--arrivals", "trace", "--trace", "none.csv"], "none.csv: expected a readable file"),
    ],
)
def test_a_workload_that_cannot_be_made_is_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*_RUN, *options])

    told = capsys.readouterr().err
    assert (status, told.count("\n")) == (2, 1)
    assert said in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rate", "0"], "expected a number above 0, found '0'"),
        (["--rate", "1", "--seconds", "nan"], "expected a number above 0, found 'nan'"),
        (["--rate", "1", "--tenants", "-3"], "expected a whole number above 0, found '-3'"),
        (["--rate", "1", "--goodput", "tbt:5"], "expected NAME:MS with one of ttft, tpot, e2el"),
        (["--rate", "1", "--window", "60"], "expected two numbers like 60:120, found '60'"),
        (["--rate", "1", "--arrivals", "tides"], "invalid choice: 'tides'"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*_RUN, *options])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_report_of_nothing_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["report", str(tmp_path / "none.json")])

    assert status == 2
    assert "none.json: expected a report.json of `loadgen run`" in capsys.readouterr().err


def test_an_interpreter_for_ray_goes_with_ray(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["bench", "latency", "--ray-python", "python3"])

    assert status == 2
    assert "--against ray" in capsys.readouterr().err


def test_scenes_are_chosen_only_where_some_are_played(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["bench", "latency", "--seeds", "1"])

    assert status == 2
    assert "--seeds go with agreement" in capsys.readouterr().err
