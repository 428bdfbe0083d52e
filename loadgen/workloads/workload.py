"""A workload is fixed before it starts: who asks what, when, and when they stop caring.

Arrivals hold facts and no text, so that a million of them are cheap; the corpus renders the
text of one when it is wanted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, tee
from random import Random
from sys import intern
from typing import Final

from loadgen.workloads.arrival import Arrival
from loadgen.workloads.corpus import CHARS_PER_TOKEN, Corpus, Prompt
from loadgen.workloads.mixes import COMPLETION, REFERENCE, TRANSLATION, KindMix, Mix
from loadgen.workloads.phrasing import LANGUAGES
from loadgen.workloads.sessions import Keystroke, Typing, keystrokes
from loadgen.workloads.trace import TraceRow

_SEED_BITS: Final = 31
_CUT_BITS: Final = 62

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who sends a workload; without `typing` nobody cancels and nobody has a session."""

    typing: Typing | None
    tenants: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRequest:
    """A rendered request and the kind it truly is."""

    kind: str
    arrival: Arrival
    prompt: Prompt


EDITORS: Final = Crowd(typing=Typing())


def build(mix: Mix, times: Iterable[float], seed: int, crowd: Crowd = EDITORS) -> list[Arrival]:
    """The mix at these rising instants; an editor's prompt grows as its writer types."""
    instants = tuple(times)
    kinds = _kinds(mix, len(instants), seed)
    strokes = _strokes(instants, kinds, crowd.typing, seed)
    sizes = _sizes(kinds, strokes, _stream(seed, "sizes"))
    return list(_arrivals(instants, kinds, strokes, sizes, crowd, seed))


def stream(mix: Mix, times: Iterable[float], seed: int, tenants: int = 1) -> Iterator[Arrival]:
    """What `build` makes of people who do not type, one at a time: a million take no room."""
    instants, unkinded, unstroked = tee(times, 3)
    drawn, sized = tee(_each_kind(mix, unkinded, seed))
    nobody_types = (None for _ in unstroked)
    strokes, idle = tee(nobody_types)
    sizes = _sizes(sized, strokes, _stream(seed, "sizes"))
    crowd = Crowd(typing=None, tenants=tenants)
    return _arrivals(instants, drawn, idle, sizes, crowd, seed)


def replay(mix: Mix, rows: Iterable[TraceRow], seed: int, crowd: Crowd = EDITORS) -> list[Arrival]:
    """A trace's instants and lengths exactly as they are; the mix gives only the kinds."""
    rows = tuple(rows)
    instants = tuple(row.at_s for row in rows)
    kinds = _kinds(mix, len(rows), seed)
    strokes = _strokes(instants, kinds, crowd.typing, seed)
    sizes = [(row.prompt_tokens, row.output_tokens) for row in rows]
    return list(_arrivals(instants, kinds, strokes, sizes, crowd, seed))


def labelled_requests(
    count: int, seed: int, corpus: Corpus, mix: Mix = REFERENCE
) -> Iterator[LabelledRequest]:
    """Requests whose kind is known, one a second, to judge a classifier by."""
    nobody_types = Crowd(typing=None)
    for arrival in build(mix, map(float, range(count)), seed, nobody_types):
        yield LabelledRequest(kind=arrival.kind, arrival=arrival, prompt=corpus.render(arrival))


def _stream(seed: int, purpose: str) -> Random:
    """Independent randomness per purpose: more tenants must not change the lengths."""
    return Random(f"{seed}/{purpose}")


def _kinds(mix: Mix, count: int, seed: int) -> list[KindMix]:
    return list(_each_kind(mix, range(count), seed))


def _each_kind(mix: Mix, instants: Iterable[float], seed: int) -> Iterator[KindMix]:
    rng, bounds = _stream(seed, "kinds"), tuple(accumulate(mix.weights()))
    return (rng.choices(mix.kinds, cum_weights=bounds)[0] for _ in instants)


def _strokes(
    instants: Sequence[float], kinds: Sequence[KindMix], typing: Typing | None, seed: int
) -> list[Keystroke | None]:
    """The keystroke behind each completion; None for all other kinds."""
    if typing is None:
        return [None] * len(instants)
    typed_at = [at_s for at_s, kind in zip(instants, kinds, strict=True) if kind.name == COMPLETION]
    strokes = iter(keystrokes(typed_at, typing, _stream(seed, "typing")))
    return [next(strokes) if kind.name == COMPLETION else None for kind in kinds]


def _sizes(
    kinds: Iterable[KindMix], strokes: Iterable[Keystroke | None], rng: Random
) -> Iterator[Size]:
    places: dict[tuple[int, int], int] = {}
    for kind, stroke in zip(kinds, strokes, strict=True):
        prompt, output = kind.prompt_tokens.draw(rng), kind.output_tokens.draw(rng)
        if stroke is not None:
            base = places.setdefault((stroke.session, stroke.place), prompt)
            prompt = kind.prompt_tokens.clip(base + stroke.typed_chars // CHARS_PER_TOKEN)
        yield prompt, output


def _arrivals(
    instants: Iterable[float],
    kinds: Iterable[KindMix],
    strokes: Iterable[Keystroke | None],
    sizes: Iterable[Size],
    crowd: Crowd,
    seed: int,
) -> Iterator[Arrival]:
    rng = _stream(seed, "texts")
    languages = tuple(LANGUAGES)
    cuts: dict[tuple[int, int], int] = {}
    for at_s, kind, stroke, (prompt, output) in zip(instants, kinds, strokes, sizes, strict=True):
        cut = rng.getrandbits(_CUT_BITS)
        tenant = int(rng.random() * crowd.tenants)
        if stroke is not None:
            cut = cuts.setdefault((stroke.session, stroke.place), cut)
            tenant = stroke.session % crowd.tenants
        yield Arrival(
            at_s=at_s,
            kind=kind.name,
            route=kind.route,
            prompt_tokens=prompt,
            output_tokens=output,
            tenant=intern(f"tenant-{tenant + 1}"),
            cut=cut,
            seed=rng.getrandbits(_SEED_BITS),
            session=intern(f"editor-{stroke.session}") if stroke else None,
            typed_chars=stroke.typed_chars if stroke else 0,
            cancel_at_s=stroke.cancel_at_s if stroke else None,
            superseded=stroke is not None and stroke.superseded,
            language=rng.choice(languages) if kind.name == TRANSLATION else None,
            batch=rng.random() < kind.batch_share,
        )
