"""Ways to say what a request is; one file each."""

from collections.abc import Callable, Mapping
from typing import Final

from services.classifier.classifiers.endpoint import Endpoint
from services.classifier.classifiers.verdict import Judge, Verdict
from services.classifier.classifiers.words import Words

CLASSIFIERS: Final[Mapping[str, Callable[[], Judge]]] = {
    "words": Words,
    "endpoint": Endpoint,
}

__all__ = ["CLASSIFIERS", "Judge", "Verdict"]
