"""Chains in virtual time: a step comes when those before it have ended, and all share a promise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from loadgen.report.observation import Ending, Observation
from loadgen.simulator.ride import Ride
from loadgen.simulator.simulation import Simulation
from loadgen.workloads.arrival import Arrival
from loadgen.workloads.chains import ChainArrival
from shared.domain.chain import Stage
from shared.domain.task import LatencyClass, Prediction, Promise, ReplyAddress, Step, Task, TaskId
from shared.scheduling.chains import Journey, Split, stage_cost_s
from shared.scheduling.cost import Cost
from shared.tasks import TASKS
from shared.tasks.chain import likelihood

_HERE = ReplyAddress(0, "loadgen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the steps of a chain are promised, and under which policy.

    `is_one`: they share the deadline of their chain; without, each is a request of its own whose
    time begins when it is sent. `is_strict`: a chain that misses its promise is given up; without,
    it goes on for as long as its answer is wanted.
    """

    policy: str
    split: Split
    is_one: bool
    is_strict: bool = False


@dataclass(slots=True, eq=False)
class _Progress:
    """A chain under way; `rides` are the branches of the stage that is on."""

    arrival: ChainArrival
    task: Task
    coming: list[int]
    rides: list[Ride] = field(default_factory=list)
    answered: int = 0
    is_over: bool = False


@dataclass(slots=True, kw_only=True)
class Chaining:
    simulation: Simulation
    manner: Manner
    judge: Callable[[Observation], None]

    def expect(self, chains: Iterable[ChainArrival]) -> None:
        for number, arrival in enumerate(chains):
            progress = _Progress(arrival, _accepted(arrival, number), list(arrival.stages()))
            self._begin(progress, arrival.at_s)

    def _begin(self, progress: _Progress, now: float) -> None:
        """The next stage: all its branches at once."""
        arrival, stage = progress.arrival, progress.coming.pop(0)
        like = self._like(progress, stage, now)
        progress.answered = 0
        progress.rides = [
            self.simulation.ask(
                replace(call, at_s=now),
                _branch(like, stage, branch, call),
                partial(self._step_over, progress),
            )
            for branch, call in enumerate(arrival.calls(stage))
        ]

    def _step_over(self, progress: _Progress, ride: Ride, ending: Ending, now: float) -> None:
        if progress.is_over:
            return
        if ending is not Ending.ANSWERED:
            self._end(progress, ending, now)
            for other in progress.rides:
                self.simulation.at(now, partial(self.simulation.cancel, other))
            return
        progress.answered += 1
        if progress.answered < len(progress.rides):
            return
        if progress.coming:
            # The scheduler hears of the last answer, and then plans with the next stage.
            self._begin(progress, now + self.simulation.house.hop_s)
        else:
            self._end(progress, ending, now)

    def _end(self, progress: _Progress, ending: Ending, now: float) -> None:
        arrival, progress.is_over = progress.arrival, True
        took_s = now - arrival.at_s if ending is Ending.ANSWERED else None
        self.judge(
            Observation(
                kind=arrival.kind,
                tenant=arrival.tenant,
                at_s=arrival.at_s,
                promise=progress.task.promise,
                ending=ending,
                ttft_s=took_s,
                e2e_s=took_s,
                is_synthetic=True,
            )
        )

    def _like(self, progress: _Progress, stage: int, now: float) -> Task:
        """A step of this stage, with its share of the promise."""
        chain, arrival = progress.task, progress.arrival
        plan, cost = arrival.plan, self.simulation.dispatcher.backlog.cost
        coming = plan.predictions(_expected, arrival.answers(stage))[-(len(plan.stages) - stage) :]
        journey = Journey(
            received_at=chain.received_at,
            deadline_at=chain.deadline_at,
            now=now,
            costs_s=_costs_s(cost, chain, plan.stages[stage:], coming),
            first_costs_s=_costs_s(cost, chain, plan.stages, plan.predictions(_expected)),
        )
        budget_s = self.manner.split(journey)[0]
        promise = Promise(e2e_s=budget_s)
        kind = plan.stages[stage].kind
        step = replace(chain, kind=kind, received_at=now, promise=promise, prediction=coming[0])
        if not self.manner.is_one:
            return replace(step, useful_s=TASKS[kind].useful_for_s(promise))
        return self._bound(step, chain, stage)

    def _bound(self, step: Task, chain: Task, stage: int) -> Task:
        """It is wanted for as long as its chain."""
        wanted_s = chain.promise.e2e_s if self.manner.is_strict else chain.useful_s
        return replace(
            step,
            useful_s=None if wanted_s is None else chain.received_at + wanted_s - step.received_at,
            step=Step(chain=chain.id, stage=stage),
        )


def _accepted(arrival: ChainArrival, number: int) -> Task:
    coding = TASKS[arrival.kind]
    return Task(
        id=TaskId(f"chain-{number}"),
        kind=coding.name,
        latency_class=LatencyClass.E2E,
        model="simulated",
        tenant=arrival.tenant,
        received_at=arrival.at_s,
        promise=coding.promise,
        useful_s=coding.useful_s,
        prediction=coding.prior,
        reply_to=_HERE,
    )


def _branch(like: Task, stage: int, branch: int, call: Arrival) -> Task:
    prediction = replace(like.prediction, prompt_tokens=call.prompt_tokens)
    step = None if like.step is None else replace(like.step, branch=branch)
    task_id = TaskId(f"{like.id}.{stage}.{branch}")
    return replace(like, id=task_id, prediction=prediction, step=step)


def _expected(stage: Stage, prompt_tokens: int) -> Prediction:
    known = stage.prediction or TASKS[stage.kind].prior
    return Prediction(
        prompt_tokens=prompt_tokens,
        output_tokens_p50=min(known.output_tokens_p50, stage.max_tokens),
        output_tokens_p90=min(known.output_tokens_p90, stage.max_tokens),
    )


def _costs_s(
    cost: Cost, chain: Task, stages: Sequence[Stage], predictions: Sequence[Prediction]
) -> tuple[float, ...]:
    return tuple(
        likelihood(stage) * stage_cost_s(cost, chain, prediction)
        for stage, prediction in zip(stages, predictions, strict=True)
    )
