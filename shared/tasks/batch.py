"""Batch: nobody waits; it has to be done some day, whatever it is."""

from typing import Final

from shared.domain.task import Prediction, Promise
from shared.tasks.coding_task import CodingTask

BATCH: Final = CodingTask(
    name="batch",
    promise=Promise(),
    useful_factor=None,
    prior=Prediction(prompt_tokens=1200, output_tokens_p50=300, output_tokens_p90=1080),
    ask="",
)
