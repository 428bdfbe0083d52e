"""The weights that the house ships are an ordinary Llama: vLLM and transformers read them alike."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from deploy.models.architecture import MODEL
from tests.contract.engine_promises import a_job, pieces_of, text_of
from tests.vllm.tiny import a_started_engine

_BEGINNING = "import os\n\n\ndef read(path):\n    with open(path) as file:\n        return"
_TOKENS = 12
# Both compute in 32 bits, and add up in another order.
_ROUNDING = 0.01


@pytest.mark.asyncio(loop_scope="session")
async def test_vllm_writes_on_with_the_shipped_weights_as_transformers_would() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    llama = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    ids: list[int] = tokenizer.encode(_BEGINNING)

    async with a_started_engine(MODEL) as engine:
        for _ in range(_TOKENS):
            job = a_job(max_tokens=1, prompt_token_ids=list(ids))
            said = text_of(await pieces_of(engine, job))
            likeliest = {
                tokenizer.decode([token], skip_special_tokens=True): token
                for token in best(llama, ids)
            }

            assert said in likeliest
            ids.append(likeliest[said])


def best(llama: torch.nn.Module, ids: list[int]) -> list[int]:
    """The likeliest next token, and what rounding cannot tell from it."""
    with torch.no_grad():
        scores = llama(torch.tensor([ids])).logits[0, -1]
    found: list[int] = (scores > scores.max() - _ROUNDING).nonzero().flatten().tolist()
    return found
