"""A chain is one task in several stages: what one stage answers is asked about in a later one."""

from dataclasses import dataclass

from shared.domain.task import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One call of a model, or as many side by side as there are items in `over`.

    `prompt` is a template. With `unless_parses` the stage is left out where what came before is
    well-formed in that language. `prediction` is of one call, as far as it is known beforehand.
    """

    name: str
    kind: str
    prompt: str
    max_tokens: int
    over: tuple[str, ...] = ()
    unless_parses: str | None = None
    prediction: Prediction | None = None

    @property
    def branches(self) -> int:
        return max(1, len(self.over))
