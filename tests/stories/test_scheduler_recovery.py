"""What the scheduler promises when memory, time or a leader is lost and found again."""

import asyncio

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.scheduler.watch import consumer_group
from shared.domain.outcome import Outcome
from shared.domain.task import LatencyClass, TaskId
from shared.messages.catalogue import AttemptEnded, TaskClassified, TaskRevoked
from shared.messages.pool import BacklogReported, LeaderElected, WorkerReported
from shared.telemetry.service import use_service
from tests.builders import a_task
from tests.stories.scheduling import Pool, ScriptedWorker, revoked


async def test_a_task_does_not_run_again_when_redis_forgot_only_its_ending() -> None:
    async with Pool.open() as pool:
        worker, t = await ScriptedWorker(pool=pool).start(), TaskId("t")
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")
        store = pool.store
        kept = store.tasks[t], store.leases[t], store.bodies[t]
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")
        await pool.until(lambda: not store.endings, within_s=1, saying="the outbox is struck")

        store.tasks[t], store.leases[t], store.bodies[t] = kept
        store.ended_until.clear()
        store.is_sealed = False
        await asyncio.sleep(8)

        assert pool.outcomes() == {"t": Outcome.COMPLETED}
        assert len(worker.mine()) == 1


async def test_a_task_does_not_run_again_when_its_record_is_read_once_more_after_a_loss() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")
        await pool.until(lambda: not pool.store.endings, within_s=1, saying="the outbox is struck")

        pool.store.lose_everything()
        topic = TaskClassified.topic_of(LatencyClass.E2E)
        await pool.bus.commit(topic, consumer_group("cato-demo"), dict.fromkeys(range(4), 0))
        await asyncio.sleep(8)

        assert pool.outcomes() == {"t": Outcome.COMPLETED}
        assert len(worker.mine()) == 1


async def test_a_leader_that_is_deposed_and_does_not_know_it_stops_nobody() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")

        pool.store.epoch = 99
        await worker.vanish()
        await asyncio.sleep(5)

        assert revoked(pool) == set()


async def test_a_kafka_that_was_emptied_beside_a_living_redis_keeps_nobody_from_leading() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        dispatched = await worker.take("t")
        # As after many elections, none of which Kafka remembers.
        await pool.kill("scheduler-1")
        pool.store.epoch = 400
        pool.store.leader = None

        throne = await pool.crown("scheduler-2")
        await pool.submit(a_task("u", received_at=pool.clock.now(), e2e_s=600))
        later = await worker.take("u")

        assert throne.standing.leads.is_set()
        assert later.fence.epoch >= 400
        assert later.fence > dispatched.fence


async def test_a_new_leader_that_cannot_hear_yet_takes_nothing_away() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.crown("scheduler-2")
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        dispatched = await worker.take("t")
        worker.streamed.add(dispatched.task.id)

        pool.bus.connects_after_s = {WorkerReported: 5.0}
        await pool.kill("scheduler-1")
        await asyncio.sleep(10)

        assert pool.outcomes() == {}
        assert revoked(pool) == set()


async def test_what_ended_while_nobody_led_does_not_run_again() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.crown("scheduler-2")
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")
        await asyncio.sleep(4)

        pool.bus.connects_after_s = {AttemptEnded: 1.0}
        await pool.kill("scheduler-1")
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=5, saying="t ends")

        assert pool.outcomes() == {"t": Outcome.COMPLETED}
        assert len({dispatched.fence for dispatched in worker.mine()}) == 1


async def test_a_worker_that_was_seated_elsewhere_hears_of_a_cancellation() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")
        await worker.vanish()
        await pool.kill("scheduler-1")
        await pool.crown("scheduler-2")
        await ScriptedWorker(pool=pool, name="newcomer").start()
        await worker.start()
        await pool.until(lambda: worker.admitted == 1, within_s=1, saying="it is moved")

        await pool.cancel("t")
        await pool.until(lambda: bool(pool.told(TaskRevoked)), within_s=1, saying="t is revoked")

        assert [message.to_partition for message in pool.told(TaskRevoked)] == [1]


async def test_a_leap_of_the_clock_takes_no_task_from_a_worker_that_speaks() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        dispatched = await worker.take("t")
        worker.streamed.add(dispatched.task.id)
        await asyncio.sleep(0.25)

        pool.clock.leapt_s = 30
        await asyncio.sleep(5)
        pool.clock.leapt_s = 0
        await asyncio.sleep(5)

        assert pool.outcomes() == {}
        await worker.end("t")
        await pool.until(lambda: "t" in pool.outcomes(), within_s=1, saying="t ends")


async def test_the_loss_of_redis_is_noticed_while_other_duties_fail() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool).start()
        pool.outage.fails["requeue"] = 1000
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await asyncio.sleep(5)
        assert worker.mine()[-1].fence.epoch == 0, "nobody could take it back"

        pool.store.lose_everything()

        await pool.until(lambda: worker.mine()[-1].fence.epoch > 0, within_s=5, saying="a new try")


async def test_whoever_asks_how_long_to_wait_is_told_so_while_kafka_is_slow_with_offsets() -> None:
    async with Pool.open() as pool:
        pool.bus.offsets_after_s = 30
        await asyncio.sleep(10)

        assert pool.clock.now() - pool.told(BacklogReported)[-1].at < 0.5


async def test_others_keep_their_tasks_while_those_of_a_former_life_cannot_be_taken_back() -> None:
    async with Pool.open() as pool:
        other = await ScriptedWorker(pool=pool, name="other", slots=1).start()
        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await other.take("t")
        other.streamed.add(TaskId("t"))
        former = await ScriptedWorker(pool=pool, name="restarts").start()
        await pool.submit(a_task("its", received_at=pool.clock.now(), e2e_s=600))
        await former.take("its")
        await former.vanish()

        pool.outage.fails["requeue"] = 1000
        present = ScriptedWorker(pool=pool, name="restarts", incarnation="2")
        await present.start()
        await asyncio.sleep(8)

        assert pool.outcomes() == {}
        pool.outage.fails["requeue"] = 0
        await present.take("its")


async def test_a_scheduler_that_leads_no_more_asks_for_no_workers() -> None:
    with use_service("tests"):
        async with Pool.open() as pool:
            now = pool.clock.now()
            await pool.submit(*[a_task(f"t{n}", received_at=now, e2e_s=600) for n in range(3)])
            await asyncio.sleep(2)
            assert _gauge("cato_tasks_queued") == 3

            pool.store.leader = ("another", pool.clock.now() + 600)
            await asyncio.sleep(2)

            assert _gauge("cato_tasks_queued") == _gauge("cato_workers_needed") == 0


def _gauge(name: str) -> float:
    """Of this pool, with all its other labels together: other pools were here before."""
    families = text_string_to_metric_families(generate_latest().decode())
    samples = (sample for one in families if one.name == name for sample in one.samples)
    return sum(sample.value for sample in samples if "cato-demo" in sample.labels.values())


async def test_a_leader_that_cannot_lead_lets_others_try() -> None:
    async with Pool.open() as pool:
        pool.bus.away = LeaderElected
        pool.store.is_sealed = False

        await pool.until(lambda: pool.store.leader is None, within_s=3, saying="it gave way")


async def test_a_worker_that_claims_a_seat_which_does_not_exist_is_given_another() -> None:
    async with Pool.open() as pool:
        worker = await ScriptedWorker(pool=pool, admitted=999).start()
        await pool.until(lambda: worker.admitted == 0, within_s=1, saying="it is seated")

        await pool.submit(a_task("t", received_at=pool.clock.now(), e2e_s=600))
        await worker.take("t")
