"""Log-probabilities as servers tell them: in the shape of either route, whichever was asked."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from services.worker.engine import EngineUnavailable
from shared.messages.body import Body
from shared.messages.logprobs import Likelihood, TokenLogprob


def asked_for(body: Body) -> dict[str, JsonValue]:
    """The fields of a request that ask for what the body asks."""
    if body.logprobs is None:
        return {}
    if body.route == "chat":
        return {"logprobs": True, "top_logprobs": body.logprobs}
    # To llama.cpp 0 means none at all.
    return {"logprobs": max(1, body.logprobs)}


def told_by(choice: JsonValue, most: int) -> tuple[TokenLogprob, ...]:
    """With at most so many of the likeliest; nothing where the server tells nothing.

    Raises EngineUnavailable on garbage.
    """
    if choice is None:
        return ()
    try:
        return _Told.model_validate(choice).tokens_told(most)
    except ValidationError as error:
        raise EngineUnavailable("the server sent malformed log-probabilities") from error


class _Place(Likelihood):
    top_logprobs: tuple[Likelihood, ...] | None = None


class _Told(BaseModel):
    """Parallel lists are of the completions route, `content` is of the chat route."""

    model_config = ConfigDict(extra="ignore")

    tokens: tuple[str, ...] = ()
    token_logprobs: tuple[float | None, ...] = ()
    top_logprobs: tuple[Mapping[str, float] | None, ...] | None = None
    content: tuple[_Place, ...] | None = None

    def tokens_told(self, most: int) -> tuple[TokenLogprob, ...]:
        places = self._places() if self.content is None else self.content
        return tuple(
            TokenLogprob(
                token=place.token,
                logprob=place.logprob,
                top=tuple(sorted(place.top_logprobs or (), key=_falling)[:most]),
            )
            for place in places
        )

    def _places(self) -> tuple[_Place, ...]:
        tops = self.top_logprobs or (None,) * len(self.tokens)
        return tuple(
            _Place(
                token=token,
                logprob=logprob,
                top_logprobs=tuple(Likelihood(token=t, logprob=p) for t, p in (top or {}).items()),
            )
            for token, logprob, top in zip(self.tokens, self.token_logprobs, tops, strict=False)
            if logprob is not None
        )


def _falling(each: Likelihood) -> float:
    return -each.logprob
