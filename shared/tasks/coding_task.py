"""A coding task is a kind of help that people ask for again and again, with a usual promise."""

from dataclasses import dataclass

from shared.domain.task import LatencyClass, Prediction, Promise

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodingTask:
    """One kind: what is promised, how long an answer stays wanted, and how a model is asked.

    `ask` may name {language} and {target_language}. `useful_factor` times the promise is how long
    an answer is still worth something; None means for ever. `prior` is what is expected before
    anything was learned.
    """

    name: str
    promise: Promise
    useful_factor: float | None
    prior: Prediction
    ask: str
    system: str = (
        "You are an expert programmer. Follow the request exactly; add nothing that was not asked."
    )

    @property
    def latency_class(self) -> LatencyClass:
        return self.promise.latency_class()

    @property
    def useful_s(self) -> float | None:
        """How long after receipt an answer under the usual promise is still worth something."""
        return self.useful_for_s(self.promise)

    def useful_for_s(self, promise: Promise) -> float | None:
        """The same under another promise; while its longest limit runs, it is wanted."""
        limits_s = [limit for limit in (promise.ttft_s, promise.e2e_s) if limit is not None]
        if self.useful_factor is None or not limits_s:
            return None
        return self.useful_factor * max(limits_s)

    def render(
        self,
        code: str | None,
        language: str | None,
        target_language: str | None,
        instruction: str | None,
    ) -> Turns:
        """The request as (role, content) turns for a chat model."""
        ask = self.ask.format(
            language=language or "the given", target_language=target_language or "another language"
        )
        parts = (ask, instruction, fenced(code, language) if code else None)
        return ("system", self.system), ("user", "\n\n".join(part for part in parts if part))


def fenced(code: str, language: str | None) -> str:
    """Code between fences that the code itself does not contain."""
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}{language or ''}\n{code}\n{fence}"
