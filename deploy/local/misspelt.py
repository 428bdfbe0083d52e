"""A misspelt variable changes nothing, and nobody notices unless somebody says so."""

from collections.abc import Iterator
from typing import Final

from services.classifier.settings import ClassifierSettings
from services.ingress.settings import IngressSettings
from services.scheduler.settings import SchedulerSettings
from services.worker.settings import WorkerSettings
from shared.runtime.complaints import strangers_of

_PARTS: Final = (ClassifierSettings, IngressSettings, SchedulerSettings, WorkerSettings)


def misspelt() -> Iterator[tuple[str, str]]:
    """Variables of ours that no service reads, each with what was probably meant."""
    strangers = [strangers_of(settings) for settings in _PARTS]
    for name in sorted(set.intersection(*map(set, strangers))):
        meant = next((found[name] for found in strangers if found[name]), None)
        if meant is not None:
            yield name, meant
