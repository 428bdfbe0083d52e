"""The catalogue of coding tasks: what people ask for, what is promised, how a model is asked."""

from collections.abc import Mapping
from typing import Final

from shared.tasks.batch import BATCH
from shared.tasks.coding_task import CodingTask
from shared.tasks.completion import COMPLETION
from shared.tasks.conversation import CHAT, EDIT, GENERATION
from shared.tasks.documentation import DOCUMENTATION
from shared.tasks.reading import DOCSTRING, EXPLANATION, REVIEW, SUMMARIZATION, TESTS
from shared.tasks.translation import TRANSLATION

TASKS: Final[Mapping[str, CodingTask]] = {
    "completion": COMPLETION,
    "generation": GENERATION,
    "chat": CHAT,
    "edit": EDIT,
    "summarization": SUMMARIZATION,
    "explanation": EXPLANATION,
    "docstring": DOCSTRING,
    "tests": TESTS,
    "review": REVIEW,
    "translation": TRANSLATION,
    "documentation": DOCUMENTATION,
    "batch": BATCH,
}

__all__ = ["TASKS", "CodingTask"]
