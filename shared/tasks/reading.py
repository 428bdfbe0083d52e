"""Summary, explanation, docstring, tests and review: one whole answer about given code."""

from typing import Final

from shared.domain.task import Prediction, Promise
from shared.tasks.coding_task import CodingTask

_IN_ONE_PIECE: Final = Promise(e2e_s=5.0)
_PRIOR: Final = Prediction(prompt_tokens=1200, output_tokens_p50=120, output_tokens_p90=228)


def _reading(name: str, ask: str) -> CodingTask:
    return CodingTask(name=name, promise=_IN_ONE_PIECE, useful_factor=3.0, prior=_PRIOR, ask=ask)


SUMMARIZATION: Final = _reading(
    "summarization", "Summarize what this {language} code does, in a few sentences."
)
EXPLANATION: Final = _reading(
    "explanation", "Explain this {language} code step by step to a programmer who is new to it."
)
DOCSTRING: Final = _reading(
    "docstring",
    "Write the documentation comment for this {language} code in the language's own convention. "
    "Answer with the comment only.",
)
TESTS: Final = _reading(
    "tests",
    "Write unit tests for this {language} code: the usual case, the edges, the errors. "
    "Answer with code only.",
)
REVIEW: Final = _reading(
    "review",
    "Review this {language} code or diff: name bugs, risks and unclear places, worst first.",
)
