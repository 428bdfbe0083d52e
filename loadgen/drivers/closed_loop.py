"""So many clients, each asking again as soon as it is answered: what is the most that passes?

Never for promises: whoever waits for an answer before asking again spares a busy house.
"""

import asyncio
from collections.abc import Iterator

from loadgen.drivers.asking import Request
from loadgen.drivers.client import Client, Sent
from loadgen.drivers.open_loop import CpuMeter, Played


async def play_in_turns(
    client: Client, requests: Iterator[Request], *, clients: int, duration_s: float
) -> Played:
    """Until `duration_s` have passed; what was asked by then is waited for."""
    cpu = CpuMeter.start()
    began_at = client.clock.monotonic()
    async with asyncio.TaskGroup() as group:
        turns = [
            group.create_task(_turns(client, requests, began_at, duration_s))
            for _ in range(clients)
        ]
    return cpu.played([sent for turn in turns for sent in turn.result()])


async def _turns(
    client: Client, requests: Iterator[Request], began_at: float, duration_s: float
) -> list[Sent]:
    sent: list[Sent] = []
    while (now := client.clock.monotonic()) < began_at + duration_s:
        sent.append(await client.send(next(requests), planned_at=now, began_at=began_at))
    return sent
