"""A worker with settings that contradict each other does not start, and says which ones."""

import pytest

from services.worker.roster import Seen
from services.worker.settings import WorkerSettings
from shared.domain.errors import SettingsError
from shared.domain.fence import Fence
from shared.domain.task import TaskId


@pytest.fixture(autouse=True)
def _a_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "localhost:9092")


def test_a_worker_needs_no_setting_but_the_broker() -> None:
    settings = WorkerSettings.load()

    assert (settings.engine, settings.profile, settings.feeder) == (
        "simulated",
        "reference",
        "holding",
    )
    assert settings.worker_name


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CATO_ENGINE", "abacus", "CATO_ENGINE is 'abacus'; known: simulated, openai"),
        ("CATO_FEEDER", "lifo", "CATO_FEEDER is 'lifo'; known: fcfs, holding"),
        ("CATO_ENGINE", "openai", "CATO_ENGINE=openai also needs CATO_ENGINE_URL"),
        ("CATO_SLOTS", "0", "CATO_SLOTS"),
        ("CATO_STUCK_S", "0", "CATO_STUCK_S"),
        ("CATO_ENGINE_PRIORITY", "first", "CATO_ENGINE_PRIORITY"),
        ("CATO_ENGINE_URL", "127.0.0.1:8000", "CATO_ENGINE_URL"),
        ("CATO_ENGINE_FIM", "gpt", "CATO_ENGINE_FIM is 'gpt'; known: auto, qwen"),
        ("CATO_WORKER_NAME", "a/b", "CATO_WORKER_NAME"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=said):
        WorkerSettings.load()


def test_the_memory_of_seen_attempts_is_bounded() -> None:
    seen = Seen(limit=3)
    keys = [(TaskId(f"task-{number}"), Fence(0, 1)) for number in range(5)]

    assert all(seen.add(key) for key in keys)
    assert not seen.add(keys[4])
    assert seen.add(keys[0])
