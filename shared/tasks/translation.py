"""Translation: the same program in another programming language."""

from typing import Final

from shared.domain.task import Prediction, Promise
from shared.tasks.coding_task import CodingTask

TRANSLATION: Final = CodingTask(
    name="translation",
    promise=Promise(e2e_s=20.0),
    useful_factor=3.0,
    prior=Prediction(prompt_tokens=900, output_tokens_p50=700, output_tokens_p90=1510),
    ask="Translate this {language} code to {target_language}. Keep its behaviour, use the idioms "
    "of the target language, answer with code only.",
)
