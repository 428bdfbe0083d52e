"""Where a task's time went, as one page of text."""

from collections.abc import Iterator, Sequence
from typing import Final

from deploy.cli.trace_files import Hop
from shared.telemetry import names

_BAR: Final = 40
# What a task waits for, in the operator's words.
_PARTS: Final = {
    "accept": (names.SPAN_ACCEPT,),
    "classify": (names.SPAN_CLASSIFY,),
    "queue": (names.SPAN_QUEUE,),
    "dispatch": (names.SPAN_DISPATCH, names.SPAN_FEED),
    "engine": (names.SPAN_ENGINE,),
}


def page(hops: Sequence[Hop]) -> str:
    """Needs at least one hop."""
    root = next((hop for hop in hops if hop.name == names.SPAN_TASK), None)
    below = [hop for hop in hops if hop is not root]
    begin_at = root.start_at if root else hops[0].start_at
    end_at = max(hop.end_at for hop in hops)
    lines = [
        *_headline(hops, root),
        "",
        *_table(below or hops, begin_at, end_at, deadline_at=_deadline_at(hops, root)),
        "",
        _split(below, begin_at, end_at),
    ]
    return "\n".join(lines) + "\n"


def _headline(hops: Sequence[Hop], root: Hop | None) -> Iterator[str]:
    yield (
        f"task {_any(hops, names.TASK_ID)} · {_any(hops, names.KIND)} "
        f"({_any(hops, names.LATENCY_CLASS)}) on {_any(hops, names.MODEL)} · "
        f"trace {hops[0].trace_id}"
    )
    if root is None:
        yield "no root span: the task still runs, or its ingress keeps no spans"
        return
    if root.error is None and root.text(names.OUTCOME) is None:
        yield _followed(hops, root)
        return
    ended = root.text(names.OUTCOME) or "ended"
    yield f"{ended}{f': {root.error}' if root.error else ''}"
    yield f"{_against('TTFT', root, names.TTFT_S, names.PROMISED_TTFT_S)}{_verdict(root)}"
    yield _against("E2E", root, names.E2E_S, names.PROMISED_E2E_S)


def _followed(hops: Sequence[Hop], root: Hop) -> str:
    """Of a task that nobody waits for the ingress only sees that it was accepted."""
    took_s = max(hop.end_at for hop in hops) - root.start_at
    return (
        f"a task of its own: accepted after {_ms(root.took_s)}, "
        f"the last hop recorded so far ended after {_ms(took_s)}"
    )


def _verdict(root: Hop) -> str:
    kept = root.attributes.get(names.PROMISE_KEPT)
    return "" if kept is None else f" · promise {'kept' if kept else 'broken'}"


def _against(what: str, root: Hop, took: str, promised: str) -> str:
    took_s = root.number(took)
    if took_s is None and what == "E2E":
        took_s = root.took_s
    promised_s = root.number(promised)
    shown = "never" if took_s is None else _ms(took_s)
    return f"{what} {shown}" + (f" of {_ms(promised_s)} promised" if promised_s else "")


def _table(
    hops: Sequence[Hop], begin_at: float, end_at: float, *, deadline_at: float | None
) -> Iterator[str]:
    width = max(len("where"), *(len(hop.where) for hop in hops))
    titles = max(10, *(len(hop.title) for hop in hops))
    numbers = f"{'start ms':>10} {'took ms':>10} {'slack ms':>10}"
    yield f"{'hop':<{titles}} {'where':<{width}} {numbers}  0 … {_ms(end_at - begin_at)}"
    for hop in hops:
        slack_s = _slack_s(hop, deadline_at)
        slack = "-" if slack_s is None else f"{slack_s * 1e3:.1f}"
        yield (
            f"{hop.title:<{titles}} {hop.where:<{width}} {(hop.start_at - begin_at) * 1e3:>10.1f} "
            f"{hop.took_s * 1e3:>10.1f} {slack:>10}  {_bar(hop, begin_at, end_at)}"
            f"{f'  ! {hop.error}' if hop.error else ''}"
        )


def _bar(hop: Hop, begin_at: float, end_at: float) -> str:
    per_s = _BAR / max(end_at - begin_at, 1e-9)
    first = min(_BAR - 1, max(0, int((hop.start_at - begin_at) * per_s)))
    length = max(1, min(_BAR - first, round(hop.took_s * per_s)))
    return ("·" * first + "#" * length).ljust(_BAR, "·")


def _split(hops: Sequence[Hop], begin_at: float, end_at: float) -> str:
    """Each moment belongs to the hop that ended it, so overlapping hops are not counted twice."""
    parts = dict.fromkeys((*_PARTS, "between"), 0.0)
    reached_at = begin_at
    # A step only holds other hops together.
    single = [hop for hop in hops if hop.name != names.SPAN_STEP]
    for hop in sorted(single, key=lambda hop: hop.end_at):
        part = next((part for part, spans in _PARTS.items() if hop.name in spans), "between")
        since_at = max(reached_at, hop.start_at)
        parts[part] += max(0.0, hop.end_at - since_at)
        parts["between"] += since_at - reached_at
        reached_at = max(reached_at, hop.end_at)
    parts["between"] += max(0.0, end_at - reached_at)
    whole_s = end_at - begin_at
    shares = (f"{part} {_ms(took_s)} ({_share(took_s, whole_s)})" for part, took_s in parts.items())
    return " · ".join(shares)


def _slack_s(hop: Hop, deadline_at: float | None) -> float | None:
    recorded_s = hop.number(names.SLACK_S)
    if recorded_s is not None or deadline_at is None:
        return recorded_s
    return deadline_at - hop.end_at


def _deadline_at(hops: Sequence[Hop], root: Hop | None) -> float | None:
    if root is None:
        return None
    promised = (names.PROMISED_TTFT_S, names.PROMISED_E2E_S)
    found = (hop.number(name) for name in promised for hop in (root, *hops))
    promised_s = next((value for value in found if value is not None), None)
    return None if promised_s is None else root.start_at + promised_s


def _any(hops: Sequence[Hop], name: str) -> str:
    return next((text for hop in hops if (text := hop.text(name))), "?")


def _ms(duration_s: float) -> str:
    return f"{duration_s * 1e3:.1f} ms"


def _share(part_s: float, whole_s: float) -> str:
    return f"{part_s / whole_s:.0%}" if whole_s > 0 else "0%"
