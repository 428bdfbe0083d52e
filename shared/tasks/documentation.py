"""Documentation: what many files together are for, told to somebody who has not seen them."""

from typing import Final

from shared.domain.task import Prediction, Promise
from shared.tasks.coding_task import CodingTask

DOCUMENTATION: Final = CodingTask(
    name="documentation",
    promise=Promise(e2e_s=60.0),
    useful_factor=3.0,
    prior=Prediction(prompt_tokens=2000, output_tokens_p50=500, output_tokens_p90=1100),
    ask="Write documentation for this {language} code: its purpose, how its parts work together, "
    "how it is used. Answer in Markdown.",
)
