"""The engine time that a promise costs at the very least, and between which instants.

Source of the split: a step that prefills P tokens and decodes D sequences takes
base + prefill·P + attention·Σ(chunk·context) + decode·D + kv·K, and P + D never exceeds the
chunk budget C. Charge every prefilled token prefill + base/C, and every decoding sequence
decode + base/C + kv·(tokens it holds). All charges of a step together are its time less
base·(1 - (P + D)/C), so never more than its time: spread evenly over the step, they keep every
worker at or below one second of work a second, whatever the schedule. A preemption only adds work;
a prompt whose beginning is still in a cache would take some away, and no simulated engine has one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from loadgen.workloads.arrival import Arrival
from loadgen.workloads.chains import ChainArrival
from shared.domain.task import Promise
from shared.scheduling.step_time import EngineProfile
from shared.tasks import TASKS

_BATCH: Final = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Work of one request between two instants, which alone on an engine takes `alone_s`.

    `rate`: seconds of work it can be charged in a second, at most. `after`: which parts of the same
    request must be done before it begins.
    """

    from_at: float
    until_at: float
    work_s: float
    alone_s: float
    rate: float
    after: tuple[int, ...] = ()

    def fits(self) -> bool:
        return self.from_at + self.alone_s <= self.until_at


def is_counted(arrival: Arrival, profile: EngineProfile) -> bool:
    """Could anybody have finished it before its client left? Attainment leaves out the others."""
    if arrival.cancel_at_s is None:
        return True
    alone_s = profile.alone_s(arrival.prompt_tokens, arrival.output_tokens)
    return arrival.cancel_at_s - arrival.at_s >= alone_s


def parts(arrival: Arrival, profile: EngineProfile) -> tuple[Part, ...]:
    """What must be done, by when, so that the promise is kept; nothing where nothing is due."""
    return tuple(_parts(arrival, _promise(arrival), profile))


def _promise(arrival: Arrival) -> Promise:
    return TASKS[_BATCH if arrival.batch else arrival.kind].promise


def _parts(arrival: Arrival, promise: Promise, profile: EngineProfile) -> Iterator[Part]:
    first_due_s, last_due_s = _due_s(arrival, promise)
    if first_due_s is last_due_s is None:
        return
    decode_s = profile.decode_s(arrival.prompt_tokens, arrival.output_tokens - 1)
    first_s = profile.first_token_s(arrival.prompt_tokens)
    if last_due_s is not None:
        left_s = last_due_s - decode_s
        first_due_s = left_s if first_due_s is None else min(first_due_s, left_s)
    assert first_due_s is not None
    yield replace(_prompt(arrival, profile), until_at=arrival.at_s + first_due_s)
    if last_due_s is not None and arrival.output_tokens > 1:
        answer = replace(_answer(arrival, profile), until_at=arrival.at_s + last_due_s)
        yield replace(answer, from_at=arrival.at_s + first_s)


def _prompt(arrival: Arrival, profile: EngineProfile) -> Part:
    return Part(
        from_at=arrival.at_s,
        until_at=math.inf,
        work_s=_prefill_work_s(arrival.prompt_tokens, profile),
        alone_s=profile.first_token_s(arrival.prompt_tokens),
        rate=1.0,
    )


def _answer(arrival: Arrival, profile: EngineProfile) -> Part:
    """All tokens but the first."""
    work_s, rate = _decode_work(arrival.prompt_tokens, arrival.output_tokens, profile)
    return Part(
        from_at=arrival.at_s,
        until_at=math.inf,
        work_s=work_s,
        alone_s=profile.decode_s(arrival.prompt_tokens, arrival.output_tokens - 1),
        rate=rate,
    )


def chain_parts(chain: ChainArrival, profile: EngineProfile) -> tuple[Part, ...]:
    """Every prompt of a chain and every answer, each after what it is made of.

    A part begins when all before it could have ended, each alone on an idle engine, and ends early
    enough for all after it.
    """
    until_at = chain.at_s + (TASKS[chain.kind].promise.e2e_s or math.inf)
    loose: list[Part] = []
    before: tuple[int, ...] = ()
    for stage in chain.stages():
        ends = []
        for call in chain.calls(stage):
            ends.append(len(loose))
            loose.append(replace(_prompt(call, profile), until_at=until_at, after=before))
            if call.output_tokens > 1:
                loose.append(replace(_answer(call, profile), until_at=until_at, after=(ends[-1],)))
                ends[-1] += 1
        before = tuple(ends)
    return _tightened(loose)


def _tightened(loose: list[Part]) -> tuple[Part, ...]:
    """Nobody begins before those it waits for could have ended, nor ends too late for the rest."""
    parts = loose[:]
    for at, part in enumerate(parts):
        ends = (parts[each].from_at + parts[each].alone_s for each in part.after)
        parts[at] = replace(part, from_at=max([part.from_at, *ends]))
    for part in reversed(parts):
        for each in part.after:
            latest = min(parts[each].until_at, part.until_at - part.alone_s)
            parts[each] = replace(parts[each], until_at=latest)
    return tuple(parts)


def _due_s(arrival: Arrival, promise: Promise) -> tuple[float | None, float | None]:
    """When the first token must be there and when the last one, in seconds after the arrival.

    Whoever leaves has got what was promised if the first token came in time, unless it is the
    whole answer that was promised.
    """
    first_s, last_s = promise.ttft_s, promise.e2e_s
    if first_s is not None and promise.tpot_s is not None:
        paced_s = first_s + promise.tpot_s * (arrival.output_tokens - 1)
        last_s = paced_s if last_s is None else min(last_s, paced_s)
    if arrival.cancel_at_s is None:
        return first_s, last_s
    wanted_s = arrival.cancel_at_s - arrival.at_s
    if promise.e2e_s is not None or first_s is None:
        return first_s, wanted_s if last_s is None else min(last_s, wanted_s)
    return min(first_s, wanted_s), None


def _prefill_work_s(prompt_tokens: int, profile: EngineProfile) -> float:
    """The attention of a prompt in chunks is least when they are as large as can be."""
    time, chunk = profile.step_time, profile.chunk_tokens
    whole, rest = divmod(prompt_tokens, chunk)
    context = (prompt_tokens**2 - whole * chunk**2 - rest**2) / 2
    each_s = time.prefill_s + time.base_s / chunk
    return each_s * prompt_tokens + time.attention_s * context


def _decode_work(
    prompt_tokens: int, output_tokens: int, profile: EngineProfile
) -> tuple[float, float]:
    """Of all tokens after the first, and the most of it that a second of steps can hold."""
    time, tokens = profile.step_time, output_tokens - 1
    share_s = time.decode_s + time.base_s / profile.chunk_tokens
    work_s = tokens * (share_s + time.kv_s * (prompt_tokens + output_tokens / 2))
    most_kv_s = time.kv_s * (prompt_tokens + tokens)
    rate = (share_s + most_kv_s) / max(1e-12, time.base_s + time.decode_s + most_kv_s)
    return work_s, min(1.0, rate)
