"""Virtual time must behave like time in everything but its price."""

import asyncio
import socket
import time

import pytest

from tests.quiet import TouchedTheWorld
from tests.virtual_time import NothingWillHappen, VirtualTimeLoop


async def test_an_hour_of_sleep_passes_at_once_and_is_exactly_an_hour() -> None:
    loop = asyncio.get_running_loop()
    began_at = loop.time()

    await asyncio.sleep(3600)

    assert loop.time() - began_at == 3600


async def test_sleepers_wake_in_the_order_of_their_instants() -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, asyncio.get_running_loop().time()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 20.0), ("soon", 0.1), ("next", 10.0)):
            group.create_task(sleeper(name, seconds))

    assert woken == [("soon", 0.1), ("next", 10.0), ("late", 20.0)]


async def test_limits_run_out_in_virtual_time() -> None:
    loop = asyncio.get_running_loop()
    never = loop.create_future()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(never), timeout=30)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(12):
            await never

    assert loop.time() == 42


async def test_time_stands_still_while_somebody_can_act() -> None:
    loop = asyncio.get_running_loop()
    alarm = loop.call_later(1, pytest.fail, "time passed although a task was ready")

    for _ in range(1000):
        await asyncio.sleep(0)

    alarm.cancel()
    assert loop.time() == 0


async def test_what_a_thread_would_do_is_done_before_time_moves() -> None:
    loop = asyncio.get_running_loop()

    answer = await asyncio.to_thread(sum, (1, 2, 3))

    assert answer == 6
    assert loop.time() == 0


async def test_what_fails_in_a_thread_fails_for_the_one_who_awaits_it() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await asyncio.to_thread(int, "x")


def test_a_world_in_which_nothing_can_happen_says_who_waits() -> None:
    async def waits_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with (
        pytest.raises(NothingWillHappen, match="waits_for_ever"),
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        runner.run(waits_for_ever())


async def test_a_quiet_test_cannot_reach_a_network() -> None:
    with pytest.raises(TouchedTheWorld):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with pytest.raises(TouchedTheWorld):
        await asyncio.open_connection("localhost", 6379)


def test_a_quiet_test_cannot_wait_on_the_real_clock() -> None:
    with pytest.raises(TouchedTheWorld):
        time.sleep(0.01)
