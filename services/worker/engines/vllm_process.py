"""vLLM's own engine, loaded in this process; its model runs in a child process of it.

Imported only where vLLM is installed. Whatever vLLM raises leaves here as an EngineError.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Self

from pydantic import JsonValue
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import GracefulHTTPError, VLLMClientError, VLLMError
from vllm.inputs.engine import tokens_input
from vllm.outputs import CompletionOutput
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from services.worker.engine import EngineDied, EngineUnavailable, JobId
from services.worker.engines.vllm_meter import StepMeter
from services.worker.engines.vllm_wire import refused
from shared.domain.errors import SettingsError
from shared.messages.logprobs import Likelihood, TokenLogprob

_ABORTED: Final = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this engine can hold with this model, in tokens; `vocabulary` is the model's."""

    context_tokens: int
    kv_capacity_tokens: int
    chunk_tokens: int
    vocabulary: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """What one step or a few added to an answer."""

    text: str
    tokens: int
    logprobs: tuple[TokenLogprob, ...]
    finish_reason: str | None
    cached_tokens: int


class VLLMProcess:
    """Everything of vLLM that the engine uses."""

    def __init__(self, llm: AsyncLLM) -> None:
        self._llm = llm
        self._tokenizer = llm.get_tokenizer()
        self.defaults: Final[dict[str, JsonValue]] = llm.model_config.get_diff_sampling_param()
        self.limits: Final = _limits(llm)

    @classmethod
    def load(cls, arguments: Mapping[str, JsonValue], meter: StepMeter) -> Self:
        """Blocks until the model is loaded. Raises SettingsError, EngineUnavailable."""
        model = arguments["model"]
        try:
            asked = AsyncEngineArgs(**arguments)
        except TypeError as error:
            raise SettingsError(
                f"CATO_ENGINE_ARGS: {error}; vLLM's AsyncEngineArgs names them"
            ) from error
        try:
            llm = AsyncLLM.from_engine_args(asked, stat_loggers=[lambda *_: meter])
        except Exception as error:
            raise EngineUnavailable(
                f"vLLM could not load {model!r}: {_first_line(error)}"
            ) from error
        return cls(llm)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text)
        return ids

    def encode_chat(
        self, turns: Sequence[Mapping[str, JsonValue]], asked: Mapping[str, JsonValue]
    ) -> list[int]:
        """Raises EngineRefused when the model has no chat template, or it refuses the turns."""
        try:
            text = self._tokenizer.apply_chat_template(
                list(turns), tokenize=False, **{"add_generation_prompt": True, **asked}
            )
        except Exception as error:
            raise refused(
                f"messages: the model's chat template says: {_first_line(error)}"
            ) from error
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def ids_of(self, marks: Sequence[str]) -> list[int]:
        """Of those marks that are tokens of this model."""
        known: Mapping[str, int] = self._tokenizer.get_vocab()
        return [known[mark] for mark in marks if mark in known]

    def largest_token_id(self) -> int:
        known: Mapping[str, int] = self._tokenizer.get_vocab()
        return max(known.values())

    async def answer(
        self, job_id: JobId, ids: list[int], sampling: Mapping[str, JsonValue], priority: int
    ) -> AsyncGenerator[Emitted, None]:
        """Ends without a finish reason when aborted. Raises EngineError."""
        outputs = self._llm.generate(
            tokens_input(ids), _params(sampling), str(job_id), priority=priority
        )
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    (said,) = output.outputs
                    if said.finish_reason == _ABORTED:
                        return
                    yield Emitted(
                        text=said.text,
                        tokens=len(said.token_ids),
                        logprobs=tuple(_weighed(said, sampling.get("logprobs"))),
                        finish_reason=said.finish_reason,
                        cached_tokens=output.num_cached_tokens or 0,
                    )
        except EngineDeadError as error:
            raise EngineDied("vLLM's engine process died") from error
        except GracefulHTTPError as error:
            raise EngineUnavailable(f"vLLM: {_first_line(error)}") from error
        except (VLLMClientError, ValueError) as error:
            raise refused(f"vLLM: {_first_line(error)}") from error
        except VLLMError as error:
            raise EngineUnavailable(f"vLLM: {_first_line(error)}") from error

    async def abort(self, job_id: JobId) -> None:
        if not self.is_dead():
            await self._llm.abort(str(job_id))

    def is_dead(self) -> bool:
        return bool(self._llm.errored)

    def shutdown(self) -> None:
        """Blocks until the processes are gone."""
        self._llm.shutdown()


def _weighed(said: CompletionOutput, most: JsonValue) -> Iterator[TokenLogprob]:
    """vLLM tells of the token that was written, and of as many of the likeliest as were asked."""
    if not isinstance(most, int):
        return
    for written, place in zip(said.token_ids, said.logprobs or (), strict=False):
        best_first = sorted(place.values(), key=lambda each: -each.logprob)
        yield TokenLogprob(
            token=place[written].decoded_token or "",
            logprob=place[written].logprob,
            top=tuple(
                Likelihood(token=each.decoded_token or "", logprob=each.logprob)
                for each in best_first[:most]
            ),
        )


def _limits(llm: AsyncLLM) -> Limits:
    config = llm.vllm_config
    cache = config.cache_config
    return Limits(
        context_tokens=config.model_config.max_model_len,
        kv_capacity_tokens=(cache.num_gpu_blocks or 0) * cache.block_size,
        chunk_tokens=config.scheduler_config.max_num_batched_tokens,
        vocabulary=config.model_config.get_vocab_size(),
    )


def _params(sampling: Mapping[str, JsonValue]) -> SamplingParams:
    """Raises EngineRefused."""
    asked = dict(sampling)
    if current_platform.is_cpu():
        # vLLM 0.32.0 rewinds the generator of a seeded answer whose prompt takes two steps; torch
        # cannot on a CPU, and the engine would die. A seed is one client's wish.
        asked.pop("seed", None)
    form = asked.pop("structured_outputs", None)
    shape = form if isinstance(form, dict) else None
    try:
        return SamplingParams(
            **asked,
            output_kind=RequestOutputKind.DELTA,
            structured_outputs=shape and StructuredOutputsParams(**shape),
        )
    except (VLLMClientError, ValueError, TypeError) as error:
        raise refused(f"vLLM: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Its words, without what vLLM prints after them."""
    said = str(error).strip() or type(error).__name__
    return said.splitlines()[0]
