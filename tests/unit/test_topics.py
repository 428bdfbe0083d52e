"""Every message of the house has its topic, and every topic can hold the largest record."""

import inspect
from dataclasses import replace

import pytest

from shared.messages import catalogue, pool
from shared.messages.message import Message
from shared.messages.topics import MAX_RECORD_BYTES, TOPICS, keeping_prompts


def test_every_message_has_a_topic() -> None:
    classes = {
        value
        for module in (catalogue, pool)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Message) and value is not Message
    }

    assert {topic.message for topic in TOPICS} == classes


def test_what_clients_wrote_is_kept_as_long_as_the_operator_says_and_nothing_else_changes() -> None:
    for topic, kept in zip(TOPICS, keeping_prompts(600), strict=True):
        assert kept == (replace(topic, retention_s=600) if topic.holds_prompts else topic)


def test_a_topic_is_listed_once() -> None:
    names = [topic.name for topic in TOPICS]

    assert len(names) == len(set(names))


def test_every_topic_takes_the_largest_record() -> None:
    for topic in TOPICS:
        assert int(topic.settings()["max.message.bytes"]) > MAX_RECORD_BYTES


@pytest.mark.parametrize(("replication", "held_by"), [(1, "1"), (2, "1"), (3, "2")])
def test_what_kafka_acknowledged_is_on_all_replicas_but_one(replication: int, held_by: str) -> None:
    for topic in TOPICS:
        assert topic.settings(replication)["min.insync.replicas"] == held_by


def test_a_compacted_topic_needs_a_key_on_every_record() -> None:
    for topic in TOPICS:
        if topic.is_compacted:
            assert topic.message.key is not Message.key
