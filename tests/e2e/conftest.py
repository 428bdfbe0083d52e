"""A whole house of processes, as a laptop runs it, for everything that is only asked over HTTP."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.house import Blueprint, House


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    blueprint = Blueprint(directory=tmp_path_factory.mktemp("house"), port=0)
    async with House.build(blueprint) as house:
        yield house
