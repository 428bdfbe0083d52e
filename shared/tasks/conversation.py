"""Generation, chat and edit: somebody watches the answer appear and reads along."""

from typing import Final

from shared.domain.task import Prediction, Promise
from shared.tasks.coding_task import CodingTask

_READ_ALONG: Final = Promise(ttft_s=1.0, tpot_s=0.05)
_PRIOR: Final = Prediction(prompt_tokens=500, output_tokens_p50=250, output_tokens_p90=613)

GENERATION: Final = CodingTask(
    name="generation",
    promise=_READ_ALONG,
    useful_factor=10.0,
    prior=_PRIOR,
    ask="Write {language} code that does what is described. Answer with code only.",
)

CHAT: Final = CodingTask(
    name="chat",
    promise=_READ_ALONG,
    useful_factor=10.0,
    prior=_PRIOR,
    ask="",
    system="You are an expert programmer who helps another programmer.",
)

EDIT: Final = CodingTask(
    name="edit",
    promise=_READ_ALONG,
    useful_factor=10.0,
    prior=_PRIOR,
    ask="Change this {language} code as described. Answer with the whole changed code only.",
)
