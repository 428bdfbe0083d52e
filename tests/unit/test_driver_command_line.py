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
        (["--arrivals", "trace"], "--arrivals trace and --trace FILE go together"),
        (["--rate", "1", "--trace", "t.csv"], "--arrivals trace and --trace FILE go together"),
        (["--rate", "0.001", "--seconds", "1"], "nothing arrives in that time"),
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
        (["--rate", "1", "--load", "1"], "argument --load: not allowed with argument --rate"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*_RUN, *options])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "run --url http://127.0.0.1:1 --rate 1 --out",
        "run --url http://127.0.0.1:1 --rate 1 --json",
        "report report.json --out",
        "simulate --json",
        "compare --out",
        "robustness --json",
        "chains --json",
        "scale --out",
        "model-error recordings --json",
        "bench scheduler --out",
        "bench scheduler --json",
    ],
)
def test_a_place_that_cannot_be_written_is_named_before_anything_is_measured(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SystemExit, match="2"):
        main([*command.split(), str(tmp_path / "file" / "below")])

    assert f"{tmp_path}/file/below cannot be" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["simulate", "compare", "ablation", "robustness"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--profile", "embedded"], "profile embedded holds 4096"),
        (["--duration", "0.000001"], "nothing arrives in that time"),
    ],
)
def test_a_scene_that_cannot_be_played_is_refused_in_one_line(
    command: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([command, *options])

    told = capsys.readouterr().err
    assert (status, told.count("\n")) == (2, 1)
    assert said in told


@pytest.mark.parametrize("command", ["capacity", "chains", "run --url http://127.0.0.1:1 --load 1"])
def test_requests_longer_than_an_engine_s_context_are_refused_in_one_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*command.split(), "--profile", "embedded"])

    told = capsys.readouterr().err
    assert (status, told.count("\n")) == (2, 1)
    assert "profile embedded holds 4096" in told


@pytest.mark.parametrize("command", ["ablation", "robustness"])
def test_a_command_that_replays_no_trace_takes_none(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([command, "--trace", "trace.csv"])

    assert "unrecognized arguments: --trace" in capsys.readouterr().err


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
