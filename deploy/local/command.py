"""`up` leaves the house running for an editor; `demo` plays a workload at it and tells."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.local.demo import compared, played, plays
from deploy.local.engine import models_at
from deploy.local.errors import LocalError
from deploy.local.house import EMBEDDED, REAL, Blueprint, House, Pool
from deploy.local.misspelt import misspelt
from deploy.local.pools import Asked, pools_of, tokenizers_of
from deploy.local.ports import port
from deploy.local.processes import first_to_end
from deploy.local.scaling import WORKER_STARTS_IN, BoundsContradict, keep_scaled
from loadgen.cli_values import count, file, folder, positive

_ENGINES_TELL: Final = {
    "simulated": "a simulated engine makes the tokens up",
    "embedded": "a small model that writes Python on, and follows no instructions",
}


def main(argv: Sequence[str]) -> int:
    options = _options(argv)
    try:
        return asyncio.run(_run(options))
    except LocalError as error:
        _say(str(error))
        return 1


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the house and leave it running; Ctrl-C ends it")
    demo = commands.add_parser(
        "demo", help="play a workload twice, first come first served and by promise; compare"
    )
    for command in (up, demo):
        _add_house_options(command)
    up.add_argument(
        "--model",
        dest="models",
        action="append",
        type=Asked.read,
        metavar="NAME[,OPTION=VALUE]",
        help="the model's name, here and at the engine; again for another pool, whose workers, "
        "engine, engine-url, profile, policy and slots may be its own",
    )
    up.set_defaults(usual_engine="embedded")
    up.add_argument("--scale-to", type=count, metavar="N", help="workers when the load needs them")
    up.add_argument(
        "--scale-hold",
        type=positive,
        default=300.0,
        metavar="S",
        help="keep them so long after that",
    )
    up.add_argument("--announce", type=file, metavar="FILE", help="write addresses and pids there")
    demo.add_argument(
        "--model", dest="models", nargs=1, type=Asked.read, metavar="NAME", help="its name"
    )
    demo.add_argument("--seconds", type=positive, default=30.0, help="length of the workload")
    demo.add_argument("--rate", type=positive, help="requests per second; else 1.2 of the capacity")
    demo.add_argument("--seed", type=int, default=1)
    # Two cores carry one busy worker beside the house and whoever asks. How much is too much is
    # known of the simulated engine.
    demo.set_defaults(workers=1, usual_engine=None)
    return parser.parse_args(argv)


def _add_house_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=port, default=8000, help="of the ingress; 0 takes any")
    command.add_argument("--workers", type=count, default=2)
    command.add_argument("--out", type=folder, default="out", help="logs, traces, reports")
    kafka = f"{EMBEDDED}, {REAL} (Apache Kafka, needs Java 17), or the address of a broker"
    command.add_argument("--kafka", default=_default_kafka(), help=kafka)
    command.add_argument(
        "--redis", dest="redis_url", default=os.environ.get("CATO_REDIS_URL"), metavar="URL"
    )
    command.add_argument("--engine", help="simulated, embedded, or openai with --engine-url")
    command.add_argument(
        "--engine-url", help="an OpenAI-compatible server, e.g. http://gpu:8000/v1"
    )
    command.add_argument("--profile", help="of the simulated engine")
    command.add_argument("--slots", help="tasks that one worker may hold")
    command.add_argument("--policy", help="of the scheduler")


def _default_kafka() -> str:
    if os.environ.get("KAFKA_BOOTSTRAP"):
        return os.environ["KAFKA_BOOTSTRAP"]
    return REAL if os.environ.get("KAFKA_HOME") else EMBEDDED


async def _run(options: argparse.Namespace) -> int:
    main_task = asyncio.ensure_future(_in_house(options))
    loop = asyncio.get_running_loop()
    for signum in _requests_to_end():
        loop.add_signal_handler(signum, main_task.cancel)
    try:
        return await main_task
    except asyncio.CancelledError:
        return 0 if options.command == "up" else 130


def _requests_to_end() -> Iterator[signal.Signals]:
    yield from (signal.SIGINT, signal.SIGTERM)
    # Whoever typed nohup wants the house to outlive the terminal.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP


async def _in_house(options: argparse.Namespace) -> int:
    if options.command == "demo":
        return await _demo(options)
    async with _house(options) as house:
        _welcome(house)
        if options.announce is not None:
            _announce(house, options.announce)
        return await _while_standing(house, _until_cancelled(house, options))


@contextlib.asynccontextmanager
async def _house(options: argparse.Namespace) -> AsyncIterator[House]:
    pools = pools_of(options)
    blueprint = Blueprint(
        directory=options.out,
        port=options.port,
        pools=pools,
        kafka=options.kafka,
        redis_url=options.redis_url,
        settings={**_for_scaling(options, pools), **tokenizers_of(pools)},
    )
    for pool in pools:
        await _meet_engine(blueprint.told(pool))
    for name, meant in misspelt():
        _say(f"{name} is ignored: no such setting; was {meant} meant?")
    _say(f"starting the house ({options.kafka} Kafka; {_pools(blueprint)})")
    async with House.build(blueprint) as house:
        try:
            yield house
        finally:
            _say("stopping the house")


def _for_scaling(options: argparse.Namespace, pools: Sequence[Pool]) -> dict[str, str]:
    """Raises LocalError when a pool would begin above its bound."""
    if options.command != "up" or options.scale_to is None:
        return {}
    most = max(pool.workers for pool in pools)
    if options.scale_to < most:
        raise BoundsContradict(most, options.scale_to)
    return {name: os.environ.get(name, own) for name, own in WORKER_STARTS_IN.items()}


def _pools(blueprint: Blueprint) -> str:
    told = ((blueprint.model_of(pool), pool.workers) for pool in blueprint.pools)
    return ", ".join(f"{model}: {count} worker{'s' * (count != 1)}" for model, count in told)


async def _meet_engine(told: Mapping[str, str]) -> None:
    """A wrong address is found out now, not by everybody who waits for an answer."""
    url = told.get("CATO_ENGINE_URL")
    if told.get("CATO_ENGINE") != "openai" or not url:
        return
    listed = await models_at(url)
    wanted = told.get("CATO_ENGINE_MODEL") or told.get("CATO_MODEL") or "cato-demo"
    if listed and wanted not in listed:
        _say(f"the engine lists {', '.join(listed)}, not {wanted}; --model says whom to ask")


async def _while_standing(house: House, work: Coroutine[None, None, int]) -> int:
    """The work's exit status, unless a part of the house dies first."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(first_to_end(house.parts()))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            dead = watching.result()
            _say(f"{dead.name} has ended, and a house that lacks a part is closed")
            raise dead.death()
        return working.result()
    finally:
        working.cancel()
        watching.cancel()


async def _until_cancelled(house: House, options: argparse.Namespace) -> int:
    if options.scale_to is not None:
        await keep_scaled(house, most=options.scale_to, hold_s=options.scale_hold)
    await asyncio.Event().wait()
    return 0


async def _demo(options: argparse.Namespace) -> int:
    ended = []
    for play in plays(options):
        async with _house(play.housed(options)) as house:
            _say(f"playing {options.seconds:g} s of mixed coding work, {play.name}")
            status = await _while_standing(house, played(play, house.base_url, options))
        if status:
            return status
        ended.append(play)
    return await compared(ended, options)


def _welcome(house: House) -> None:
    _say(f"CATO serves {house.base_url}/v1 (live page: {house.base_url}/); Ctrl-C ends it")
    # Addresses that were given are known, and may hold a password.
    if house.broker is not None and house.redis is not None:
        _say(
            f"for cato check and cato deadletters: export CATO_KAFKA_SERVERS={house.kafka_servers}"
            f" CATO_REDIS_URL={house.redis_url}"
        )
    if house.blueprint.kafka == EMBEDDED:
        _say(
            "the embedded broker keeps nothing on disk: accepted tasks are lost when it ends;"
            " --kafka real or KAFKA_BOOTSTRAP brings durable promises"
        )
    blueprint = house.blueprint
    for engine, told in _ENGINES_TELL.items():
        models = [
            blueprint.model_of(pool)
            for pool in blueprint.pools
            if (blueprint.told(pool).get("CATO_ENGINE") or "simulated") == engine
        ]
        if models:
            _say(f"{', '.join(models)}: {told}; --engine-url brings a server's model")


def _announce(house: House, file: Path) -> None:
    facts = {
        "base_url": house.base_url,
        "kafka_servers": house.kafka_servers,
        "redis_url": house.redis_url,
        "trace_dir": str(house.blueprint.directory / "traces"),
        "pids": {part.name: part.pid for part in house.parts()},
    }
    draft = file.with_suffix(".part")
    draft.touch()
    # The addresses may hold a password.
    draft.chmod(0o600)
    draft.write_text(json.dumps(facts))
    draft.replace(file)


def _say(sentence: str) -> None:
    # The terminal may be gone, which must not keep the house from being closed in order.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"cato: {sentence}\n")
        sys.stderr.flush()
