"""Completion: an editor waits, in the middle of a line, for the next few tokens."""

from typing import Final

from shared.domain.task import Prediction, Promise
from shared.tasks.coding_task import CodingTask

COMPLETION: Final = CodingTask(
    name="completion",
    promise=Promise(ttft_s=0.3),
    useful_factor=1.0,
    prior=Prediction(prompt_tokens=1400, output_tokens_p50=14, output_tokens_p90=39),
    ask="Continue this {language} code where it breaks off. Answer with the continuation only.",
)
