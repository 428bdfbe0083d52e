"""A classifier with settings that make no sense does not start."""

import pytest

from services.classifier.settings import ClassifierSettings
from shared.domain.errors import SettingsError


def test_words_are_looked_at_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "localhost:9092")

    assert ClassifierSettings.load().classifier == "words"


def test_a_classifier_that_does_not_exist_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CATO_KAFKA_SERVERS", "localhost:9092")
    monkeypatch.setenv("CATO_CLASSIFIER", "magic")

    with pytest.raises(SettingsError, match=r"CATO_CLASSIFIER .*magic.*words, endpoint"):
        ClassifierSettings.load()
