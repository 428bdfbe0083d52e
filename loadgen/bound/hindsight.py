"""What the best policy would have kept, had it known what comes: a reference, not a rival.

Local search from the best policy's own run: over which requests are never started, over the
policy's parameters, and over whether it is told the true lengths. Where to begin is read from the
upper bound: whom it leaves out when the fleet is a little smaller, since no engine is as divisible
as a linear program. Then each stretch of time is changed by itself: changes far apart hardly touch,
so that one replay tries one in every stretch, and those that gained where they were made are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from random import Random
from typing import Final, cast

from loadgen.bound.promised import parts
from loadgen.bound.replay import Replay, Schedule, Stage, kept_places
from loadgen.bound.upper_bound import upper_bound
from loadgen.simulator.playing import Played, Scene, guess_in
from loadgen.simulator.world import Guess, knowing
from loadgen.workloads.arrival import Arrival
from shared.scheduling.policies import POLICIES
from shared.scheduling.policies.cato import Cato
from shared.scheduling.policy import Policy

_STRETCH_S: Final = 3.0
_FLEET_SHARES: Final = (0.85, 0.75, 0.65, 0.55)
_LEFT_OUT_BELOW: Final = 0.5
# Whoever knows whom to leave out needs to prefer the short ones less.
_BEGINNINGS: Final = tuple(Cato(price_calm=calm, price_rush=3 * calm) for calm in (2.0, 5.0))
_SPREAD: Final = 0.4
_LOOKED_AT: Final = 5
_LEVEL_CHANGES: Final = 0.4
_GUESS_CHANGES: Final = 0.1
_ENDLESS: Final = 1e9
# Every so many rounds the policy is changed instead of the requests.
_POLICY_ROUNDS: Final = 5

_Change = tuple[int, frozenset[int]]


def hindsight(
    scene: Scene, workload: Sequence[Arrival], played: Mapping[str, Played], *, steps: int
) -> float:
    """Attainment after so many steps, each one change tried; never below any policy's in `played`.

    Needs the extra `load`; raises ExtraMissing.
    """
    best = max(played, key=lambda name: played[name].figures.total.on_time)
    figures = played[best].figures.total
    if not figures.counted or figures.on_time == figures.counted:
        return figures.attainment or 0.0
    stage, believed = _stage(scene, workload), guess_in(scene)
    schedule = Schedule(policy=POLICIES[best](), guess=believed, levels=(0,) * len(stage.stretches))
    kept = kept_places(workload, range(len(workload)), played[best].observations, scene.profile)
    search = _Search(
        stage=stage,
        work_s=[sum(part.work_s for part in parts(each, scene.profile)) for each in workload],
        rng=Random(scene.seed),
        best=Replay(schedule, frozenset(), kept),
        believed=believed,
        steps=steps,
    )
    search.run()
    return search.best.score / figures.counted


def _stage(scene: Scene, workload: Sequence[Arrival]) -> Stage:
    smaller = (
        upper_bound(workload, scene.profile, scene.workers * share).kept for share in _FLEET_SHARES
    )
    left_out = (
        frozenset(place for place, share in enumerate(kept) if share < _LEFT_OUT_BELOW)
        for kept in smaller
    )
    stretches: list[list[int]] = [[]]
    for place, arrival in enumerate(workload):
        while arrival.at_s >= len(stretches) * _STRETCH_S:
            stretches.append([])
        stretches[-1].append(place)
    choices = (frozenset[int](), *left_out)
    return Stage(scene=scene, workload=workload, choices=choices, stretches=stretches)


@dataclass(slots=True, kw_only=True)
class _Search:
    """`steps` is how many changes may still be tried."""

    stage: Stage
    work_s: Sequence[float]
    rng: Random
    best: Replay
    believed: Guess
    steps: int

    def run(self) -> None:
        self._begin()
        rounds = 0
        while self.steps > 0:
            rounds += 1
            if rounds % _POLICY_ROUNDS:
                self._change_requests()
            else:
                self._change_policy()

    def _try(self, schedule: Schedule) -> Replay:
        """Kept when it is no worse: on a plateau, moving on leads somewhere."""
        replay = self.stage.replay(schedule)
        if replay.score >= self.best.score:
            self.best = replay
        return replay

    def _begin(self) -> None:
        """Every prepared choice for the whole time; then, in each stretch, the best one there."""
        stretches = self.stage.stretches
        levels = range(1, len(self.stage.choices))
        for policy in _BEGINNINGS:
            tried = []
            for level in levels:
                if self.steps <= 0:
                    return
                self.steps -= 1
                schedule = Schedule(policy=policy, guess=knowing, levels=(level,) * len(stretches))
                tried.append(self._try(schedule))
            mixed = tuple(
                max(levels, key=lambda level: len(tried[level - 1].kept.intersection(stretch)))
                for stretch in stretches
            )
            self._try(Schedule(policy=policy, guess=knowing, levels=mixed))

    def _change_policy(self) -> None:
        self.steps -= 1
        schedule = self.best.schedule
        varied = _varied(schedule.policy, self.rng)
        if varied is None or self.rng.random() < _GUESS_CHANGES:
            other = self.believed if schedule.guess is knowing else knowing
            self._try(replace(schedule, guess=other))
        else:
            self._try(replace(schedule, policy=varied))

    def _change_requests(self) -> None:
        before = self.best
        changes = dict(self._changes())
        self.steps -= max(1, len(changes))
        after = self._try(self._changed(before.schedule, changes))
        if after.score > before.score:
            return
        gained = {at: change for at, change in changes.items() if self._gain(at, before, after) > 0}
        if gained:
            self._try(self._changed(before.schedule, gained))

    def _changes(self) -> Iterator[tuple[int, _Change]]:
        """For each stretch: another level for all of it, or one request in it swapped."""
        levels = self.best.schedule.levels
        for at, stretch in enumerate(self.stage.stretches):
            if self.rng.random() < _LEVEL_CHANGES:
                most = len(self.stage.choices) - 1
                level = levels[at] + self.rng.choice((-2, -1, 1, 2))
                yield at, (min(most, max(0, level)), frozenset())
            elif (place := self._one_of(stretch)) is not None:
                yield at, (levels[at], frozenset((place,)))

    def _one_of(self, stretch: Sequence[int]) -> int | None:
        """One who was started in vain, one who cost much, or one left out who would cost little."""
        best, rng = self.best, self.rng
        kind = rng.randrange(3)
        if kind == 0:
            vain = [p for p in stretch if p not in best.kept and p not in best.without]
            return rng.choice(vain) if vain else None
        among = best.kept if kind == 1 else best.without
        found = [place for place in stretch if place in among]
        looked_at = rng.sample(found, min(_LOOKED_AT, len(found)))
        sign = -1 if kind == 1 else 1
        return min(looked_at, key=lambda place: sign * self.work_s[place], default=None)

    def _gain(self, at: int, before: Replay, after: Replay) -> int:
        """In the stretch that was changed and the next one, where it is felt too."""
        felt = [p for stretch in self.stage.stretches[at : at + 2] for p in stretch]
        return len(after.kept.intersection(felt)) - len(before.kept.intersection(felt))

    def _changed(self, schedule: Schedule, changes: Mapping[int, _Change]) -> Schedule:
        levels, swapped = list(schedule.levels), schedule.swapped
        for at, (level, places) in changes.items():
            levels[at] = level
            swapped ^= places
        return replace(schedule, levels=tuple(levels), swapped=swapped)


def _varied(policy: Policy, rng: Random) -> Policy | None:
    """One of its finite numbers above 0 made larger or smaller; None where it has none."""
    settings: object = policy
    if not is_dataclass(settings) or isinstance(settings, type):
        return None
    found = {each.name: getattr(settings, each.name) for each in fields(settings)}
    numbers = {name: value for name, value in found.items() if isinstance(value, float)}
    names = [name for name, value in numbers.items() if 0 < value < _ENDLESS]
    if not names:
        return None
    name = rng.choice(names)
    varied: object = replace(settings, **{name: numbers[name] * rng.lognormvariate(0, _SPREAD)})
    return cast(Policy, varied)
