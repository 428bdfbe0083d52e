"""The compose file is checked against its specification, and against the processes it starts.

No engine is needed for that; whether the images build is seen where there is one.
"""

import importlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.messages.topics import MAX_BATCH_BYTES
from shared.runtime.complaints import variables_of
from shared.runtime.settings import ServiceSettings

ROOT: Final = Path(__file__).parents[2]
SPECIFICATION: Final = ROOT / "tests" / "data" / "compose" / "compose-spec.json"
SERVICES: Final = sorted(path.parent.name for path in ROOT.glob("services/*/settings.py"))
VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Healthcheck(BaseModel):
    test: list[str]


class Limits(BaseModel):
    cpus: str
    memory: str


class Resources(BaseModel):
    limits: Limits


class Deploy(BaseModel):
    resources: Resources


class Container(BaseModel):
    model_config = ConfigDict(extra="ignore")

    image: str
    deploy: Deploy
    restart: str
    command: list[str] = []
    environment: dict[str, str | int] = {}
    ports: list[str] = []
    volumes: list[str] = []
    profiles: list[str] = []
    networks: dict[str, dict[str, list[str]]] = {}
    depends_on: dict[str, JsonValue] | list[str] = []
    healthcheck: Healthcheck | None = None
    stop_grace_period: str | None = None

    def settings(self) -> dict[str, str]:
        """What the process sees when nothing is set around compose."""
        return {name: interpolated(str(value)) for name, value in self.environment.items()}


class Compose(BaseModel):
    model_config = ConfigDict(extra="ignore")

    services: dict[str, Container]
    volumes: dict[str, None] = Field(default_factory=dict)


class Scrape(BaseModel):
    job_name: str
    dns_sd_configs: list[dict[str, JsonValue]]


def interpolated(text: str) -> str:
    return VARIABLE.sub(lambda found: found[2] or "", text)


@cache
def compose() -> Compose:
    return Compose.model_validate(written())


def written() -> JsonValue:
    found: JsonValue = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


def settings_of(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    found: object = vars(module)[f"{service.title()}Settings"]
    assert isinstance(found, type) and issubclass(found, ServiceSettings)
    return found


def test_it_is_what_the_specification_calls_a_compose_file() -> None:
    schema = json.loads(SPECIFICATION.read_text(encoding="utf-8"))

    errors = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(written())
    ]

    assert errors == []


def test_every_service_of_the_house_is_in_it() -> None:
    started = {name: container.command for name, container in compose().services.items()}

    for service in SERVICES:
        assert started[service] == ["python", "-m", f"services.{service}"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_it_sets_means_something_to_the_process(service: str) -> None:
    given = {name for name in compose().services[service].environment if name != "CLUSTER_ID"}

    assert given - set(variables_of(settings_of(service))) == set()


@pytest.mark.parametrize("service", SERVICES)
def test_with_what_it_sets_the_process_starts(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in compose().services[service].settings().items():
        monkeypatch.setenv(name, value)

    settings = settings_of(service).load()

    assert settings.kafka_servers == "kafka:9092"


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_may_drain_before_it_is_killed(service: str) -> None:
    container = compose().services[service]

    grace_s = float((container.stop_grace_period or "10s").removesuffix("s"))
    assert grace_s > float(container.settings()["CATO_DRAIN_S"])


@pytest.mark.parametrize("service", SERVICES)
def test_health_and_metrics_are_asked_where_they_are_answered(service: str) -> None:
    container = compose().services[service]
    settings = container.settings()
    port = settings.get("CATO_HEALTH_PORT") or settings["CATO_PORT"]
    scrapes = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))

    scraped = {
        (name, str(config["port"]))
        for scrape in map(Scrape.model_validate, scrapes["scrape_configs"])
        for config in scrape.dns_sd_configs
        for name in (config["names"] if isinstance(config["names"], list) else [])
    }

    assert container.healthcheck is not None
    assert f"http://127.0.0.1:{port}/readyz" in " ".join(container.healthcheck.test)
    assert (service, port) in scraped


@pytest.mark.parametrize("name", sorted(compose().services))
def test_every_container_is_bounded_pinned_and_restarted(name: str) -> None:
    container = compose().services[name]

    assert re.search(r":v?\d+\.\d+(\.\d+)?", container.image)
    assert container.restart
    assert re.fullmatch(r"\d+(\.\d+)?[MG]", container.deploy.resources.limits.memory)


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for each in compose().services.values() for port in each.ports]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_it_mounts_lies_in_the_tree_or_in_a_volume() -> None:
    sources = {
        volume.split(":")[0] for each in compose().services.values() for volume in each.volumes
    }

    for source in sources:
        assert source in compose().volumes or (ROOT / source).exists()


def test_the_image_copies_what_exists() -> None:
    dockerfile = (ROOT / "deploy/images/Dockerfile").read_text(encoding="utf-8")
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)

    for source in " ".join(copies).split():
        assert (ROOT / source).exists()


def test_kafka_is_the_one_that_the_suites_run() -> None:
    pom = (ROOT / "deploy/kafka/pom.xml").read_text(encoding="utf-8")
    version = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)<", pom)
    kafka = compose().services["kafka"]

    assert version is not None and kafka.image == f"apache/kafka:{version[1]}"
    assert kafka.environment["KAFKA_MESSAGE_MAX_BYTES"] == MAX_BATCH_BYTES
    assert kafka.environment["KAFKA_REPLICA_FETCH_MAX_BYTES"] == MAX_BATCH_BYTES


def test_redis_keeps_what_it_was_given() -> None:
    configuration = (ROOT / "deploy/redis/redis.conf").read_text(encoding="utf-8").splitlines()

    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(configuration)


@pytest.mark.parametrize("service", ["scheduler", "worker"])
def test_a_second_model_is_a_scheduler_and_workers_of_its_own(service: str) -> None:
    first, second = compose().services[service], compose().services[f"second-{service}"]

    own = {name for name, value in second.settings().items() if first.settings()[name] != value}

    assert own == {"CATO_MODEL"}
    assert first.settings().keys() == second.settings().keys()
    assert (first.command, first.healthcheck) == (second.command, second.healthcheck)
    assert second.networks == {"default": {"aliases": [service]}}


def test_load_dashboards_and_a_second_model_wait_until_they_are_asked_for() -> None:
    by_default = {name for name, each in compose().services.items() if not each.profiles}

    assert by_default == {"ingress", *SERVICES, "kafka", "redis", "topics"}
