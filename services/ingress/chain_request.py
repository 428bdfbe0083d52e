"""A chain as a client may write it, checked so that no step can fail for how it was written."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from services.ingress.headers import known_kind
from services.ingress.requests import INT64
from shared.domain.chain import Stage
from shared.domain.errors import InvalidRequest
from shared.domain.task import Promise
from shared.tasks import TASKS
from shared.tasks.chain import GIVEN, ITEM, MOST_BRANCHES, MOST_STAGES, MOST_STEPS, PREVIOUS, marks
from shared.tasks.coding_task import fenced
from shared.tasks.parsing import PARSERS, parser_of
from shared.tasks.recipes import RECIPES, Recipe

_NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"
_Item = Annotated[str, Field(min_length=1)]
Offered = Mapping[str, str | Mapping[str, str] | None]


class StepRequest(BaseModel):
    """`name` is how later templates call its answer; `over` runs it once for each item."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    kind: str = Field(max_length=128)
    prompt: str = Field(min_length=1)
    max_tokens: int = Field(ge=1, lt=INT64)
    name: str | None = Field(default=None, pattern=_NAME)
    over: tuple[_Item, ...] | None = None
    unless_parses: str | None = Field(default=None, max_length=64)


def stages_of_steps(steps: Sequence[StepRequest]) -> tuple[Stage, ...]:
    """Raises InvalidRequest, which names the step."""
    if not 1 <= len(steps) <= MOST_STAGES:
        raise InvalidRequest(
            f"{len(steps)} steps; a chain has 1 to {MOST_STAGES} of them", param="steps"
        )
    stages: list[Stage] = []
    for at, step in enumerate(steps):
        stages.append(_stage(step, at, [stage.name for stage in stages]))
    _check_calls(stages, "steps")
    return tuple(stages)


def stages_of_recipe(name: str, *, offered: Offered, most_tokens: int | None) -> tuple[Stage, ...]:
    """Raises InvalidRequest; a check for which no parser is known is left out."""
    if name not in RECIPES:
        raise InvalidRequest(
            f"unknown recipe {name[:64]!r}; known recipes: {', '.join(RECIPES)}", param="recipe"
        )
    recipe = RECIPES[name]
    for wanted in recipe.wants:
        if not offered.get(wanted):
            raise InvalidRequest(f"the recipe {name!r} needs `{wanted}`", param=wanted)
    stages = [
        replace(stage, max_tokens=min(stage.max_tokens, most_tokens or stage.max_tokens))
        for stage in _checkable(recipe, offered.get("target_language"))
    ]
    files = offered.get("files")
    if isinstance(files, Mapping):
        stages = _over_files(recipe, stages, files)
    return tuple(stages)


def promise_of(stages: Sequence[Stage], own: Promise | None, recipe: str | None) -> Promise:
    """One promise for the whole: the client's, the recipe's, or what its steps are usually given.

    Raises InvalidRequest for a limit that a chain cannot have.
    """
    if own is not None and (own.ttft_s is not None or own.tpot_s is not None):
        raise InvalidRequest(
            "a chain is promised as a whole; send only `e2e_ms`", param="promise.e2e_ms"
        )
    if own is not None:
        return own
    if recipe is not None:
        return TASKS[recipe].promise
    usual_s = [_usual_s(stage) for stage in stages]
    known_s = [limit_s for limit_s in usual_s if limit_s is not None]
    return Promise(e2e_s=sum(known_s)) if len(known_s) == len(usual_s) else Promise()


def _usual_s(stage: Stage) -> float | None:
    """Seconds for its last token; None where the kind is never waited for."""
    promise = TASKS[stage.kind].promise
    if promise.e2e_s is not None or promise.ttft_s is None:
        return promise.e2e_s
    return promise.ttft_s + (promise.tpot_s or 0.0) * stage.max_tokens


def _stage(step: StepRequest, at: int, earlier: Sequence[str]) -> Stage:
    place = f"steps.{at}"
    name = step.name or f"step_{at + 1}"
    if name in (*earlier, *GIVEN, PREVIOUS, ITEM):
        raise InvalidRequest(f"the name {name!r} is taken", param=f"{place}.name")
    _check_marks(step, at, earlier)
    over = step.over or ()
    if step.over is not None and not 1 <= len(over) <= MOST_BRANCHES:
        raise InvalidRequest(f"{len(over)} items; send 1 to {MOST_BRANCHES}", param=f"{place}.over")
    return Stage(
        name=name,
        kind=known_kind(step.kind, param=f"{place}.kind"),
        prompt=step.prompt,
        max_tokens=step.max_tokens,
        over=over,
        unless_parses=_parser(step, at),
    )


def _check_marks(step: StepRequest, at: int, earlier: Sequence[str]) -> None:
    """Whatever a template does not use never reaches the model: that is a mistake."""
    known = {*GIVEN, *([ITEM] if step.over else ())}
    answers = {PREVIOUS, *earlier} if at else set()
    used = set(marks(step.prompt))
    offered = ", ".join(f"{{{name}}}" for name in sorted(known | answers))
    unknown = used - known - answers
    if unknown:
        raise InvalidRequest(
            f"{{{min(unknown)[:64]}}} is not known here; known are {offered}, and literal braces "
            "are doubled",
            param=f"steps.{at}.prompt",
        )
    needed = answers if at else known
    if not used & needed:
        raise InvalidRequest(
            f"the template uses nothing that comes before it; put in one of "
            f"{', '.join(f'{{{name}}}' for name in sorted(needed))}",
            param=f"steps.{at}.prompt",
        )


def _parser(step: StepRequest, at: int) -> str | None:
    if step.unless_parses is None:
        return None
    place = f"steps.{at}.unless_parses"
    if at == 0:
        raise InvalidRequest("before the first step there is nothing to parse", param=place)
    parser = parser_of(step.unless_parses)
    if parser is None:
        raise InvalidRequest(
            f"no parser for {step.unless_parses!r}; there is one for {', '.join(PARSERS)}",
            param=place,
        )
    return parser


def _check_calls(stages: Sequence[Stage], param: str) -> None:
    calls = sum(stage.branches for stage in stages)
    if calls > MOST_STEPS:
        raise InvalidRequest(
            f"{calls} calls of the model in one chain; at most {MOST_STEPS}", param=param
        )


def _checkable(recipe: Recipe, target: object) -> list[Stage]:
    parser = parser_of(target) if isinstance(target, str) else None
    return [
        stage if stage.unless_parses is None else replace(stage, unless_parses=parser)
        for stage in recipe.stages
        if stage.unless_parses is None or parser is not None
    ]


def _over_files(recipe: Recipe, stages: list[Stage], files: Mapping[str, str]) -> list[Stage]:
    if recipe.over_files is None:
        raise InvalidRequest(f"the recipe {recipe.name!r} takes no files", param="files")
    if len(files) > MOST_BRANCHES:
        raise InvalidRequest(f"{len(files)} files; send at most {MOST_BRANCHES}", param="files")
    over = tuple(f"{path}\n{fenced(text, None)}" for path, text in files.items())
    return [
        replace(stage, over=over) if stage.name == recipe.over_files else stage for stage in stages
    ]
