"""Endpoint, suffix, markers and length say a lot; where they do not, the words decide."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from services.classifier.classifiers.prose import Request, read_request
from services.classifier.classifiers.verdict import Verdict, as_named
from services.classifier.classifiers.vocabulary import (
    LANGUAGES,
    PHRASES,
    QUESTIONS,
    TOWARDS,
    UNSPACED,
    respelled,
)
from shared.messages.body import Body
from shared.tasks.fim import has_fim_markers

_WORD: Final = re.compile(r"[^\W_]+[+#]*")
_MOST_WORDS: Final = 100

# Prompts of chat models, rendered by the client for the plain completions endpoint.
_INSTRUCT: Final = re.compile(r"\s*(?:<s>)?\s*(?:\[INST\]|### |<\|im_start\|>|<\|user\|>)")
_HOLE: Final = re.compile(
    r"\bholes?\b|<cursor|\b(?:at|the) cursor|\binfill|\bautocomplet|completion engine"
    r"|fill[ _-](?:in the|me|here)",
    re.IGNORECASE,
)
_EDGE_CHARS: Final = 400
# Editors ask for little; who wants a whole answer asks for more.
_EDITOR_TOKENS: Final = 160
_HOLE_TOKENS: Final = 1024
_ENOUGH: Final = 2.0
_SOME: Final = 1.0
_SURE: Final = 0.6
_COUNTERPARTS: Final = frozenset(("version", "equivalent", "counterpart", "code", "translation"))

_NEEDS_CODE: Final = (
    *("edit", "summarization", "explanation", "docstring", "tests", "review", "translation"),
)
_MANY: Final = 50
# Who is taken for a machine by mistake is promised nothing, so one sign is not enough.
_BULK: Final = 4.0


class Words:
    """Good while people say what they want; a bare question about code is where it guesses."""

    def classify(self, body: Body, hint: str | None) -> Verdict:
        if hint is not None:
            return as_named(hint)
        if is_completion(body):
            return Verdict(kind="completion", confidence=0.97)
        request = read_request(body)
        scores = weigh(request)
        if max(scores.values(), default=0.0) < _SOME:
            scores = _standing_wish(body) or scores
        if body.route == "completions" and _reads_on(body, scores):
            return Verdict(kind="completion", confidence=0.7)
        if body.target_language:
            scores["translation"] = scores.get("translation", 0.0) + _ENOUGH + 1.0
        return _best(scores, "generation" if body.route == "tasks" else "chat")


def is_completion(body: Body) -> bool:
    """Do the marks alone tell that an editor waits at a cursor?"""
    if body.route == "completions":
        return body.suffix is not None or has_fim_markers(body.prompt or "")
    if body.route == "tasks":
        return body.suffix is not None
    return body.max_tokens <= _HOLE_TOKENS and _HOLE.search(_system(body)) is not None


def _system(body: Body) -> str:
    system = next((turn.text() for turn in body.messages if turn.role == "system"), "")
    return system[:_EDGE_CHARS]


def _standing_wish(body: Body) -> dict[str, float]:
    """Programs say once, as the system, what they want, and then send nothing but code.

    A system prompt that lists everything an assistant can do says nothing.
    """
    wish = _system(body)
    scores = weigh(Request(wish=wish, has_code=True, is_diff=False)) if wish else {}
    return scores if _best(scores, "chat").confidence >= _SURE else {}


def weigh(request: Request) -> dict[str, float]:
    """Evidence for each kind."""
    scores: dict[str, float] = {}
    words = tuple(_words(request.wish))
    for phrase in _phrases(words):
        for kind, weight in PHRASES[phrase]:
            scores[kind] = scores.get(kind, 0.0) + weight
    _weigh_unspaced(request.wish, scores)
    _weigh_languages(words, request, scores)
    _weigh_shape(words, request, scores)
    return scores


def _words(wish: str) -> Iterator[str]:
    for word in _WORD.findall(wish.lower())[:_MOST_WORDS]:
        yield word if word in _KNOWN else respelled(word)


_KNOWN: Final = frozenset(word for phrase in PHRASES for word in phrase.split())


def _phrases(words: tuple[str, ...]) -> set[str]:
    one = set(words)
    two = {f"{a} {b}" for a, b in pairwise(words)}
    three = {f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)}
    return {phrase for phrase in one | two | three if phrase in PHRASES}


def _weigh_unspaced(wish: str, scores: dict[str, float]) -> None:
    if wish.isascii():
        return
    for phrase, weights in UNSPACED.items():
        if phrase in wish:
            for kind, weight in weights:
                scores[kind] = scores.get(kind, 0.0) + weight


def _weigh_languages(words: tuple[str, ...], request: Request, scores: dict[str, float]) -> None:
    """Code here and another language named as the goal: somebody wants it over there."""
    pairs = tuple(pairwise(words))
    is_goal = any(a in TOWARDS and b in LANGUAGES for a, b in pairs) or any(
        a in LANGUAGES and b in _COUNTERPARTS for a, b in pairs
    )
    if is_goal and request.has_code:
        scores["translation"] = scores.get("translation", 0.0) + _ENOUGH


def _weigh_shape(words: tuple[str, ...], request: Request, scores: dict[str, float]) -> None:
    if not request.has_code:
        for kind in _NEEDS_CODE:
            scores[kind] = scores.get(kind, 0.0) * 0.5
        if "?" in request.wish or "\uff1f" in request.wish or (words and words[0] in QUESTIONS):
            scores["chat"] = scores.get("chat", 0.0) + 1.5
    if request.is_diff:
        scores["review"] = scores.get("review", 0.0) + 1.5
        scores["summarization"] = scores.get("summarization", 0.0) + 1.0
    if any(word.isdecimal() and int(word[:9]) >= _MANY for word in words):
        scores["batch"] = scores.get("batch", 0.0) * 1.5
    if scores.get("batch", 0.0) < _BULK:
        scores.pop("batch", None)


def _reads_on(body: Body, scores: Mapping[str, float]) -> bool:
    """Is a bare prompt code to be continued, and not a question in disguise?"""
    prompt = body.prompt or ""
    if _INSTRUCT.match(prompt[:_EDGE_CHARS]):
        return False
    return body.max_tokens <= _EDITOR_TOKENS or max(scores.values(), default=0.0) < _SOME


def _best(scores: Mapping[str, float], otherwise: str) -> Verdict:
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    if not ranked or ranked[0][1] <= 0.0:
        return Verdict(kind=otherwise, confidence=0.2)
    kind, best = ranked[0]
    second = ranked[1][1] if len(ranked) > 1 else 0.0
    return Verdict(kind=kind, confidence=best / (best + second + 1.0))
