"""Bounds of a laptop's fleet that contradict each other are refused before anything starts."""

import pytest

from deploy.local.command import main


def test_a_fleet_that_would_begin_above_its_bound_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["up", "--workers", "3", "--scale-to", "2"])

    assert status == 1
    assert capsys.readouterr().err.splitlines() == [
        "cato: --scale-to 2 is below --workers 3, with which the house begins;"
        " name at least as many"
    ]
