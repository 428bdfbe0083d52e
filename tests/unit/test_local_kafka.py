"""What Kafka is told before it starts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.errors import LocalError
from deploy.local.house import Blueprint
from deploy.local.real_kafka import cluster_id


@given(seed=st.binary(min_size=16, max_size=16))
def test_no_cluster_is_named_like_an_option(seed: bytes) -> None:
    name = cluster_id(seed)

    assert not name.startswith("-")
    assert len(name) == 22


def test_topics_are_made_where_the_services_of_the_house_look_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured = {
        "CATO_TOPIC_PREFIX": "team.",
        "CATO_KAFKA_PROTOCOL": "SASL_PLAINTEXT",
        "CATO_KAFKA_SASL_MECHANISM": "PLAIN",
        "CATO_KAFKA_USERNAME": "team",
        "CATO_KAFKA_PASSWORD": "secret",
    }
    for name, value in secured.items():
        monkeypatch.setenv(name, value)

    told = Blueprint(directory=tmp_path, kafka="broker:9092").reaching("broker:9092")

    assert (told.kafka_servers, told.topic_prefix) == ("broker:9092", "team.")
    assert (told.kafka_protocol, told.kafka_username) == ("SASL_PLAINTEXT", "team")


def test_an_address_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    blueprint = Blueprint(directory=tmp_path, kafka="broker")

    with pytest.raises(LocalError, match=r"CATO_KAFKA_SERVERS is 'broker'.*host:port"):
        blueprint.reaching("broker")
