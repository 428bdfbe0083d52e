"""A native task as a client may write it: one call of a known kind, or a chain of them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.ingress.chain_request import (
    StepRequest,
    promise_of,
    stages_of_recipe,
    stages_of_steps,
)
from services.ingress.fields import passed_on
from services.ingress.headers import known_kind
from services.ingress.requests import ANSWER_TOKENS, Request
from shared.domain.chain import Stage
from shared.domain.errors import InvalidRequest
from shared.domain.task import Promise
from shared.messages.body import Body

_Milliseconds = Annotated[float, Field(gt=0, le=86_400_000, allow_inf_nan=False)]


class OwnPromise(BaseModel):
    """The native API's way to say what the SLO headers say."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    ttft_ms: _Milliseconds | None = None
    tpot_ms: _Milliseconds | None = None
    e2e_ms: _Milliseconds | None = None

    def promise(self) -> Promise | None:
        limits_ms = (self.ttft_ms, self.tpot_ms, self.e2e_ms)
        if limits_ms == (None, None, None):
            return None
        ttft_s, tpot_s, e2e_s = (None if limit is None else limit / 1000 for limit in limits_ms)
        return Promise(ttft_s=ttft_s, tpot_s=tpot_s, e2e_s=e2e_s)


class TaskRequest(Request):
    """With `recipe` or `steps` it is a chain; `files` (path -> text) are for recipes."""

    kind: str | None = Field(default=None, max_length=128)
    code: str | None = None
    instruction: str | None = None
    language: str | None = Field(default=None, max_length=64)
    target_language: str | None = Field(default=None, max_length=64)
    promise: OwnPromise | None = None
    session: str | None = Field(default=None, min_length=1, max_length=255)
    recipe: str | None = Field(default=None, max_length=128)
    steps: tuple[StepRequest, ...] | None = None
    files: dict[str, str] | None = None

    def named_kind(self) -> str | None:
        """That of a chain is its recipe's, or what its last step makes; raises UnknownTaskKind."""
        if self.kind is not None:
            return known_kind(self.kind, param="kind")
        if self.recipe is not None:
            return self.recipe
        return self.steps[-1].kind if self.steps else None

    def owed(self, own: Promise | None) -> Promise | None:
        """Of a chain one promise for the whole, of anything else what the client said.

        Raises InvalidRequest.
        """
        stages = self.stages()
        return promise_of(stages, own, self.recipe) if stages else own

    def body(self) -> Body:
        """Raises InvalidRequest."""
        stages = self.stages()
        if not stages:
            self._check_single()
        return Body(
            route="tasks",
            code=self.code,
            instruction=self.instruction,
            language=self.language,
            target_language=self.target_language,
            max_tokens=max(
                (stage.max_tokens for stage in stages), default=self.max_tokens or ANSWER_TOKENS
            ),
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stops(),
            extra=passed_on(self.__pydantic_extra__),
            stages=stages,
        )

    def _check_single(self) -> None:
        if not self.code and not self.instruction:
            raise InvalidRequest(
                "there is nothing to do; send `code` or `instruction`", param="code"
            )
        if self.kind == "translation" and not self.target_language:
            raise InvalidRequest("a translation needs to know into what", param="target_language")
        if self.files is not None:
            raise InvalidRequest("`files` go with a recipe; send `code`", param="files")

    def stages(self) -> tuple[Stage, ...]:
        """Of a chain; raises InvalidRequest."""
        if self.recipe is not None and self.steps is not None:
            raise InvalidRequest("send either `recipe` or `steps`, not both", param="recipe")
        if self.recipe is not None:
            return stages_of_recipe(
                self.recipe,
                offered={
                    "code": self.code,
                    "target_language": self.target_language,
                    "files": self.files,
                },
                most_tokens=self.max_tokens,
            )
        if self.steps is None:
            return ()
        if self.files is not None:
            raise InvalidRequest("`files` go with a recipe; use `over` in a step", param="files")
        return stages_of_steps(self.steps)
