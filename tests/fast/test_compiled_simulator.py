"""The compiled simulator is the same simulator: what it reports is equal to the last bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from shared.scheduling.policies import POLICIES

_ROOT: Final = Path(__file__).parents[2]
_COMPILED: Final = _ROOT / "build" / "compiled"
_WHOLE_HOUSE: Final = (
    "--workers 4 --load 1.5 --typing --prefix-share 0.75 --report-ms 50 --retries 2"
    " --fleet 2:+1 4:-2 --load-s 1"
)


def _python(source: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _report(source: Path, arguments: str, written: Path) -> dict[str, object]:
    _python(source, "-m", "loadgen", "simulate", *arguments.split(), "--json", str(written))
    report: dict[str, object] = json.loads(written.read_bytes())
    return report


def test_what_takes_the_time_is_compiled() -> None:
    modules = ["loadgen.simulator.worker", "shared.scheduling.backlog", "loadgen.report.tally"]
    saying = (
        "import importlib, sys; print(*[importlib.import_module(m).__file__ for m in sys.argv[1:]])"
    )

    files = _python(_COMPILED, "-c", saying, *modules)

    assert [Path(file).suffix for file in files.split()] == [".so"] * len(modules)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("scene", ["--load 1.25", _WHOLE_HOUSE])
def test_a_compiled_run_reports_what_an_interpreted_one_does(
    policy: str, scene: str, tmp_path: Path
) -> None:
    arguments = f"--policy {policy} --duration 6 {scene}"

    compiled = _report(_COMPILED, arguments, tmp_path / "compiled.json")

    assert compiled == _report(_ROOT, arguments, tmp_path / "interpreted.json")


@pytest.mark.parametrize(
    "command",
    [
        "compare --policies cato hybrid --loads 1.5 --seeds 1 2 --duration 6",
        "ablation --loads 1.5 --seeds 1 --duration 4",
        "robustness --loads 1.5 --seeds 1 --duration 4",
        "chains --loads 1.5 --seeds 1 --duration 10",
        "scale --seconds 60 --seeds 1 --most 2 --load-s 10",
    ],
)
def test_what_several_processes_play_is_the_same_compiled(command: str, tmp_path: Path) -> None:
    arguments = ["-m", "loadgen", *command.split(), "--processes", "2"]
    if command.startswith(("compare", "scale")):
        arguments += ["--out", str(tmp_path)]

    compiled = _python(_COMPILED, *arguments)

    assert compiled and compiled == _python(_ROOT, *arguments)
