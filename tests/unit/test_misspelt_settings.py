"""What the environment says and no part of the house understands."""

import os

import pytest

from deploy.local.misspelt import misspelt


@pytest.fixture(autouse=True)
def an_environment_without_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CATO_")]:
        monkeypatch.delenv(name)


def test_a_variable_that_resembles_a_setting_is_told_with_that_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CATO_POLCY", "edf")

    told = list(misspelt())

    assert told == [("CATO_POLCY", "CATO_POLICY")]


def test_a_setting_of_one_part_is_no_mistake_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_POLICY", "edf")
    monkeypatch.setenv("CATO_ENGINE_START_S", "5")

    told = list(misspelt())

    assert told == []
