"""The table that says what each part of the policy is worth."""

import pytest

from loadgen.ablation import FULL, PARTS, Ablated
from loadgen.cli import main
from loadgen.cli_ablation import markdown


def ablated(part: str, attainment: float, *, seed: int = 1) -> Ablated:
    return Ablated(part=part, load=1.0, seed=seed, attainment=attainment, kind_mean=0.5)


def test_every_part_that_can_be_off_changes_the_policy() -> None:
    assert len(set(PARTS.values())) == len(PARTS)


def test_a_part_is_worth_what_is_lost_without_it() -> None:
    plays = [ablated(part, 0.7) for part in PARTS if part != FULL]
    plays += [ablated(FULL, 0.8), ablated(FULL, 0.9, seed=2)]

    rows = markdown(plays, [1.0]).splitlines()

    assert rows[2] == "| nothing | 0.850 / 0.500 |"
    assert all(row.endswith("| 0.700 / 0.500 (+15.0 / +0.0) |") for row in rows[3:])


def test_the_table_is_made_by_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--loads", "1", "--seeds", "1", "--duration", "2", "--processes", "1"]

    assert main(["ablation", *options]) == 0

    told = capsys.readouterr().out
    assert all(f"| {part} |" in told for part in PARTS)
