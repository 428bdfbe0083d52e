"""What a worker's steps meant for each ride: how late its tokens were, and what time it used.

A ride's share is the difference of running sums, so that a step costs the same however many
sequences decode in it.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from loadgen.simulator.ride import Ride
from shared.scheduling.batching import Sequence, Step
from shared.scheduling.feeding import Running
from shared.scheduling.step_time import StepTime
from shared.scheduling.stretch import Stretch

_LONG: Final = 1024


@dataclass(slots=True)
class Pace:
    """When each step ended, kept as falling maxima of end - pace · step."""

    pace_s: float
    steps: list[int] = field(default_factory=list)
    excess_s: list[float] = field(default_factory=list)

    def note(self, step: int, at: float) -> None:
        excess_s = at - self.pace_s * step
        while self.excess_s and self.excess_s[-1] <= excess_s:
            self.excess_s.pop()
            self.steps.pop()
        self.excess_s.append(excess_s)
        self.steps.append(step)

    def most_s(self, since_step: int) -> float:
        """The latest token since that step, as if the one of step 0 had been due at 0."""
        return self.excess_s[bisect_left(self.steps, since_step)]

    def forget(self, before_step: int) -> None:
        first = bisect_left(self.steps, before_step)
        del self.steps[:first], self.excess_s[:first]


@dataclass(slots=True)
class Ledger:
    """`until_s`: steps after that are outside the window in which useful time is measured;
    `promised` are those who decode and were promised more than a first token."""

    step_time: StepTime
    until_s: float
    paces: dict[float, Pace] = field(default_factory=dict)
    paced: dict[Ride, None] = field(default_factory=dict)
    promised: dict[Ride, Running] = field(default_factory=dict)
    # Sums over steps of stretch and of stretch · step.
    _stretches: float = 0.0
    _stretched_steps: float = 0.0

    def note(self, step: Step, number: int, now: float, rides: Mapping[Sequence, Ride]) -> None:
        for pace in self.paces.values():
            pace.note(number, now)
        if now > self.until_s:
            return
        stretched = self._stretched(step.duration_s)
        self._stretches += stretched
        self._stretched_steps += stretched * number
        for sequence, tokens in step.chunks:
            if sequence in rides:
                rides[sequence].used_s += stretched * self.step_time.prefill_s * tokens

    def charge(self, step: Step, ends_at: float, sequence: Sequence, ride: Ride) -> None:
        """It leaves in the middle of a step, which goes on all the same."""
        if ends_at <= self.until_s:
            tokens = sum(tokens for each, tokens in step.chunks if each is sequence)
            ride.used_s += self._stretched(step.duration_s) * self.step_time.prefill_s * tokens

    def _stretched(self, step_s: float) -> float:
        """What a step took, of what all its tokens added to it."""
        marginal_s = step_s - self.step_time.base_s
        return step_s / marginal_s if marginal_s > 0 else 0.0

    def note_stretch(self, stretch: Stretch, steps: int, last: int) -> None:
        """So many steps of it, up to number `last`.

        Steps grow longer while they only decode, so that no token was later than both the first's
        and the last's.
        """
        first, ended_at = last - steps + 1, stretch.ended_at(steps)
        for pace in self.paces.values():
            pace.note(first, stretch.ended_at(1))
            pace.note(last, ended_at)
        if ended_at > self.until_s:
            return
        stretched = steps * self._stretched((ended_at - stretch.began_at) / steps)
        self._stretches += stretched
        self._stretched_steps += stretched * (first + last) / 2

    def join(self, ride: Ride, number: int, now: float) -> None:
        """It decodes from here on."""
        ride.joined = (number, self._stretches, self._stretched_steps)
        running = Running.of(ride.task, ride.tokens_before + 1 - number)
        if running is not None:
            self.promised[ride] = running
        pace_s = ride.pace_s
        if pace_s is None:
            return
        self.paced[ride] = None
        if pace_s not in self.paces:
            self.paces[pace_s] = Pace(pace_s)
            self.paces[pace_s].note(number, now)

    def part(self, ride: Ride, sequence: Sequence) -> None:
        """It decodes no longer: the end, or a preemption."""
        joined, stretches, stretched_steps = ride.joined
        if not joined:
            return
        # In step n it holds that many tokens and n more.
        held = sequence.target_tokens - joined
        stretched_tokens = held * (self._stretches - stretches)
        stretched_tokens += self._stretched_steps - stretched_steps
        ride.used_s += self.step_time.decode_s * (self._stretches - stretches)
        ride.used_s += self.step_time.kv_s * stretched_tokens
        self.promised.pop(ride, None)
        if ride in self.paced:
            del self.paced[ride]
            self._judge_pace(ride)
        ride.joined = (0, 0.0, 0.0)

    def _judge_pace(self, ride: Ride) -> None:
        pace_s, ttft_s, joined = ride.pace_s, ride.task.promise.ttft_s, ride.joined[0]
        if pace_s is None or ttft_s is None:
            return
        pace = self.paces[pace_s]
        due_at = ride.arrival.at_s + ttft_s + pace_s * (ride.tokens_before - joined)
        ride.late_s = max(ride.late_s, pace.most_s(joined) - due_at)
        if len(pace.steps) > _LONG:
            pace.forget(min((each.joined[0] for each in self.paced), default=pace.steps[-1]))
