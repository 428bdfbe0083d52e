"""A process with wrong settings says which variable is wrong, what it was and what would do."""

import logging
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, SecretStr

from shared.domain.errors import SettingsError
from shared.runtime.settings import RedisSettings, ServiceSettings

_CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "certificate.pem"


class Limits(BaseModel):
    requests: int = 1


class ToySettings(RedisSettings):
    limits: Limits = Limits()
    api_key: SecretStr | None = None
    colour: Literal["red", "blue"] = "red"
    ports: tuple[int, ...] = ()


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "kafka:9092")
    monkeypatch.setenv("CATO_REDIS_URL", "redis://redis:6379/0")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "one:9092,two:9093")
    monkeypatch.setenv("CATO_LIMITS__REQUESTS", "7")
    monkeypatch.setenv("CATO_TRACE_RATIO", "0.5")

    settings = ToySettings.load()

    assert settings.kafka_servers == "one:9092,two:9093"
    assert settings.limits.requests == 7
    assert settings.tracing.ratio == 0.5


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_USERNAME", "")

    assert ServiceSettings.load().kafka_username is None


@pytest.mark.parametrize(
    ("variable", "given", "said"),
    [
        ("CATO_KAFKA_SERVERS", "kafka", "CATO_KAFKA_SERVERS is 'kafka'"),
        ("CATO_DRAIN_S", "soon", "CATO_DRAIN_S is 'soon'"),
        ("CATO_HEALTH_PORT", "70000", "CATO_HEALTH_PORT is '70000'"),
        ("CATO_TRACE_RATIO", "1.5", "CATO_TRACE_RATIO is '1.5'"),
        ("CATO_COLOUR", "green", "'red' or 'blue'"),
        ("CATO_LIMITS__REQUESTS", "many", "CATO_LIMITS__REQUESTS is 'many'"),
        ("CATO_LIMITS", "{broken", "CATO_LIMITS is not valid JSON"),
        ("CATO_PORTS", "1,2", "CATO_PORTS is not valid JSON"),
        ("CATO_REDIS_URL", "localhost:6379", "expected redis://host:port/db"),
    ],
)
def test_a_wrong_value_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, given: str, said: str
) -> None:
    monkeypatch.setenv(variable, given)

    with pytest.raises(SettingsError) as refused:
        ToySettings.load()

    assert said in str(refused.value)


def test_everything_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATO_KAFKA_SERVERS")
    monkeypatch.delenv("CATO_REDIS_URL")
    monkeypatch.setenv("CATO_FETCH_WAIT_MS", "0")

    with pytest.raises(SettingsError) as refused:
        ToySettings.load()

    for variable in ("CATO_KAFKA_SERVERS", "CATO_REDIS_URL", "CATO_FETCH_WAIT_MS"):
        assert variable in str(refused.value)


def test_a_misspelt_required_variable_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATO_KAFKA_SERVERS")
    monkeypatch.setenv("CATO_KAFKA_SERVER", "kafka:9092")

    with pytest.raises(SettingsError, match="CATO_KAFKA_SERVER is: was it meant"):
        ServiceSettings.load()


def test_a_misspelt_optional_variable_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CATO_TRACE_RATIOS", "0.5")
    monkeypatch.setenv("CATO_SOMETHING_OF_ANOTHER_SERVICE", "1")

    with caplog.at_level(logging.WARNING):
        ServiceSettings.load()

    assert [(vars(r)["given"], vars(r)["closest"]) for r in caplog.records] == [
        ("CATO_TRACE_RATIOS", "CATO_TRACE_RATIO")
    ]


def test_a_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "redis"
    secret.write_text("rediss://:hunter2@redis:6379/0\n")
    monkeypatch.delenv("CATO_REDIS_URL")
    monkeypatch.setenv("CATO_REDIS_URL_FILE", str(secret))

    settings = ToySettings.load()

    assert settings.redis_url == "rediss://:hunter2@redis:6379/0"
    assert "hunter2" not in repr(settings)


def test_a_secret_that_is_wrong_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_REDIS_URL", "http://:hunter2@redis")

    with pytest.raises(SettingsError) as refused:
        ToySettings.load()

    assert "CATO_REDIS_URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("value", ["/nowhere/redis", "both"])
def test_a_secret_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CATO_REDIS_URL_FILE", value)
    if value != "both":
        monkeypatch.delenv("CATO_REDIS_URL")

    with pytest.raises(SettingsError, match="CATO_REDIS_URL_FILE"):
        ToySettings.load()


@pytest.mark.parametrize(
    "variables",
    [
        {"CATO_KAFKA_PROTOCOL": "SASL_SSL"},
        {"CATO_KAFKA_USERNAME": "cato"},
        {"CATO_KAFKA_CA_FILE": str(_CERTIFICATE)},
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        ServiceSettings.load()

    assert {*variables, "CATO_KAFKA_PROTOCOL"} <= set(
        str(refused.value).replace("=", " ").replace(",", " ").replace(";", " ").split()
    )


@pytest.mark.parametrize("file", ["/nowhere/ca.pem", __file__])
def test_a_file_without_certificates_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv("CATO_KAFKA_PROTOCOL", "SSL")
    monkeypatch.setenv("CATO_KAFKA_CA_FILE", file)

    with pytest.raises(SettingsError, match=f"CATO_KAFKA_CA_FILE is '{file}': no certificates"):
        ServiceSettings.load()
