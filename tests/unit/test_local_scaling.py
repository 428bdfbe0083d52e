"""Bounds of a laptop's fleet that contradict each other are refused before anything starts."""

from pathlib import Path

import pytest

from deploy.local.command import main


def test_a_fleet_that_would_begin_above_its_bound_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["up", "--out", str(tmp_path), "--workers", "3", "--scale-to", "2"])

    assert status == 1
    assert capsys.readouterr().err.splitlines() == [
        "cato: --scale-to 2 is below --workers 3, with which the house begins;"
        " name at least as many"
    ]
