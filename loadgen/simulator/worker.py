"""A simulated worker: the feeder and the batching of the live one, stepped in virtual time."""

import math
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from loadgen.simulator.ledger import Ledger
from loadgen.simulator.ride import Ride
from loadgen.simulator.speed import Speed, timing_of, timing_of_last
from shared.domain.task import TaskId
from shared.scheduling.batching import Batch, Sequence, Step
from shared.scheduling.feeding import EngineNow, Feeder
from shared.scheduling.prefixes import Prefixes, shared_tokens
from shared.scheduling.step_time import EngineProfile, StepTime
from shared.scheduling.stretch import Stretch

_MEAN_WEIGHT: Final = 0.1


class Stage(Enum):
    LOADING = auto()
    SERVING = auto()
    LEAVING = auto()


class Report(NamedTuple):
    """`received` counts all tasks it ever got, so that whoever reads knows which are not in it;
    `ended` are those that left since the last one."""

    worker: int
    at: float
    received: int
    held: int
    residual_s: float
    ended: tuple[TaskId, ...]
    step_time: StepTime | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Worker:
    """`step` is the one under way and ends at `ends_at`. While nothing is to be prefilled, many
    steps are done at once, a `stretch` of them. `turn` counts steps and stretches.

    It is paid for from `joined_at` until `left_at`. `speed` is what it believes of its own steps,
    and reports; without it, it knows. `prefix_share` of a prompt is where the next of its session
    begins: its engine has that cached, in what room those who run have left.
    """

    number: int
    profile: EngineProfile
    feeder: Feeder
    ledger: Ledger
    stage: Stage
    speed: Speed | None = None
    joined_at: float = 0.0
    left_at: float = math.inf
    prefix_share: float = 0.0
    prefixes: Prefixes = field(default_factory=lambda: Prefixes(room_tokens=0))
    batch: Batch = field(init=False)
    rides: dict[Sequence, Ride] = field(default_factory=dict)
    waiting: list[Ride] = field(default_factory=list)
    received: int = 0
    ended: list[TaskId] = field(default_factory=list)
    step: Step | None = None
    stretch: Stretch | None = None
    turn: int = 0
    ends_at: float = 0.0
    step_s: float = 0.0
    prefilled_at: float = 0.0
    reported_at: float = -1.0
    is_report_due: bool = False

    def __post_init__(self) -> None:
        self.batch = Batch(profile=self.profile)

    @property
    def is_idle(self) -> bool:
        return self.step is None and self.stretch is None

    def receive(self, ride: Ride) -> None:
        self.received += 1
        self.waiting.append(ride)

    def leave(self, ride: Ride) -> None:
        """Its client has gone: take it out wherever it is."""
        self.ended.append(ride.task.id)
        sequence = ride.sequence
        if sequence is None:
            self.waiting.remove(ride)
        elif self.rides.pop(sequence, None) is not None:
            self.batch.remove(sequence)
            self.ledger.part(ride, sequence)
            if self.step is not None:
                self.ledger.charge(self.step, self.ends_at, sequence, ride)

    def begin(self, now: float) -> bool:
        """Feed, then start what there is to do; did anybody enter?"""
        has_fed = bool(self.waiting) and self._feed(now)
        self.turn += 1
        self.stretch = stretch = None if self.waiting else self.batch.quiet(now)
        if stretch is None:
            self._begin_step(now)
        else:
            self.step = None
            self.ends_at = stretch.ended_at(stretch.steps)
        return has_fed

    def cut(self, now: float) -> bool:
        """Something has come: do only the quiet step under way; does it end sooner for it?"""
        stretch = self.stretch
        if stretch is None:
            return False
        done = min(stretch.ended_by(now), stretch.steps - 1)
        self._skip(stretch, done)
        self.stretch = stretch.step_after(done)
        if done + 1 == stretch.steps:
            return False
        self.turn += 1
        self.ends_at = stretch.ended_at(done + 1)
        return True

    def end(self, now: float) -> list[Ride]:
        """Tokens come out; returns who got the last one."""
        finished: tuple[Sequence, ...] = ()
        if self.stretch is not None:
            finished = self._skip(self.stretch, self.stretch.steps)
            if self.speed is not None:
                self.speed.learn(timing_of_last(self.stretch))
            self.stretch = None
        elif self.step is not None:
            self._deliver(self.step, now)
            finished = self.step.finished
        return [self._finish(sequence) for sequence in finished if sequence in self.rides]

    def _begin_step(self, now: float) -> None:
        self.step = step = self.batch.next_step()
        if step is not None:
            self.ends_at = now + step.duration_s
            for sequence in step.preempted:
                self._interrupt(sequence)

    def _deliver(self, step: Step, now: float) -> None:
        self.step_s += _MEAN_WEIGHT * (step.duration_s - self.step_s)
        if self.speed is not None:
            self.speed.learn(timing_of(step))
        self.ledger.note(step, self.batch.steps, now, self.rides)
        for sequence in step.joined:
            if sequence in self.rides:
                ride = self.rides[sequence]
                ride.first_at = min(ride.first_at, now)
                self._keep_prefix(ride)
                self.ledger.join(ride, self.batch.steps, now)
        if step.prefill_tokens:
            self.prefilled_at = now

    def _keep_prefix(self, ride: Ride) -> None:
        if self.prefix_share and ride.arrival.session is not None:
            self.prefixes.room_tokens = self.profile.kv_capacity_tokens - self.batch.reserved_tokens
            self.prefixes.keep(ride.arrival.cut, ride.arrival.prompt_tokens)

    def _skip(self, stretch: Stretch, steps: int) -> tuple[Sequence, ...]:
        if not steps:
            return ()
        finished = self.batch.skip(steps)
        self.ledger.note_stretch(stretch, steps, self.batch.steps)
        mean_s = (stretch.ended_at(steps) - stretch.began_at) / steps
        self.step_s = mean_s + (self.step_s - mean_s) * (1 - _MEAN_WEIGHT) ** steps
        return finished

    def report(self, now: float) -> Report:
        self.reported_at = now
        held = len(self.rides) + len(self.waiting)
        ended = tuple(self.ended)
        self.ended.clear()
        told = None if self.speed is None else self.speed.step_time()
        return Report(self.number, now, self.received, held, self._residual_s(now), ended, told)

    def _feed(self, now: float) -> bool:
        free = self.profile.max_sequences - len(self.rides)
        if free <= 0:
            return False
        tasks = [ride.task for ride in self.waiting]
        running = self.ledger.promised.values()
        fed = self.feeder.feed(tasks, running, self._engine_now(now), now=now, free=free)
        for place in fed.enter:
            self._enter(self.waiting[place], now)
        if fed.enter:
            self.waiting = [ride for ride in self.waiting if ride.sequence is None]
        return bool(fed.enter)

    def _enter(self, ride: Ride, now: float) -> None:
        ride.fed_at = now
        ride.sequence = Sequence(
            prompt_tokens=ride.arrival.prompt_tokens,
            output_tokens=ride.arrival.output_tokens,
            priority=ride.priority,
            cached_tokens=self._cached_tokens(ride),
        )
        self.batch.admit(ride.sequence)
        self.rides[ride.sequence] = ride

    def _cached_tokens(self, ride: Ride) -> int:
        if not self.prefix_share:
            return 0
        before = self.prefixes.tokens(ride.arrival.cut)
        return shared_tokens(self.prefix_share, before, ride.arrival.prompt_tokens)

    def _engine_now(self, now: float) -> EngineNow:
        step = self._step_time()
        return EngineNow(
            prefill_tokens=self.batch.unprefilled_tokens,
            step_s=self.step_s,
            decode_step_s=step.base_s + step.decode_s * self.batch.running,
            decoding_s=now - self.prefilled_at,
            steps=self.batch.steps,
        )

    def _residual_s(self, now: float) -> float:
        tokens = self.batch.unprefilled_tokens
        for ride in self.waiting:
            tokens += ride.arrival.prompt_tokens - self._cached_tokens(ride)
        under_way_s = 0.0
        if self.step is not None and (tokens or self.step.prefill_tokens):
            under_way_s = self.ends_at - now
        time = self._step_time()
        steps = -(-tokens // self.profile.chunk_tokens)
        each_s = time.base_s + time.decode_s * self.batch.running
        return under_way_s + time.prefill_s * tokens + steps * each_s

    def _step_time(self) -> StepTime:
        return self.profile.step_time if self.speed is None else self.speed.step_time()

    def _interrupt(self, sequence: Sequence) -> None:
        """Preempted: it will be prefilled again, with what it has said so far."""
        ride = self.rides[sequence]
        if ride.joined[0]:
            self.ledger.part(ride, sequence)
            ride.tokens_before = sequence.emitted_before

    def _finish(self, sequence: Sequence) -> Ride:
        ride = self.rides.pop(sequence)
        self.ledger.part(ride, sequence)
        self.ended.append(ride.task.id)
        return ride
