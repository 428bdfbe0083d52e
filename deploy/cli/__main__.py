"""The operator's command: `cato trace`, `cato check`, `cato topics create`, `cato deadletters`."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.cli import commands
from loadgen.cli_values import count, positive
from shared.domain.errors import CatoError, SettingsError
from shared.runtime.logs import configure_logs
from shared.runtime.run import CANNOT_START, CRASHED

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when all is well, 1 when something is wrong, 2 when it was asked wrongly."""
    asked = a_parser().parse_args(arguments)
    configure_logs(level="WARNING", form="human")
    # It logs each attempt to connect; the command says once what came of them.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        code = int(asked.run(asked))
        sys.stdout.flush()
    except SettingsError as error:
        return _tell(error, CANNOT_START)
    except CatoError as error:
        return _tell(error, CRASHED)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; what is left may not be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def a_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cato", description="Look after a house that serves.")
    verbs = parser.add_subparsers(required=True, metavar="command")

    trace = _verb(verbs, "trace", "where the time of one task went, hop by hop", _trace)
    trace.add_argument("id", help="a task id or a trace id")
    trace.add_argument(
        "--dir",
        type=Path,
        default=Path("out/traces"),
        metavar="DIRECTORY",
        help="where the services write spans (CATO_TRACE_DIR); default: %(default)s",
    )

    _verb(verbs, "check", "settings, Kafka and Redis: what is wrong?", _check)

    topics = _verb(verbs, "topics", "the topics of the house", _create_topics)
    topics.add_argument("act", choices=["create"], help="make those that are missing")
    topics.add_argument(
        "--replication", type=count, default=1, metavar="N", help="brokers that hold each record"
    )
    topics.add_argument(
        "--keep-prompts", type=positive, metavar="HOURS", help="instead of a day, an hour or a week"
    )

    _verb(verbs, "deadletters", "records that could not be handled, and why", _dead_letters)
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    said: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=said, description=f"{said[:1].upper()}{said[1:]}.")
    verb.set_defaults(run=run)
    return verb


def _trace(asked: argparse.Namespace) -> int:
    return commands.trace(asked.id, asked.dir)


def _check(_: argparse.Namespace) -> int:
    return asyncio.run(commands.check())


def _create_topics(asked: argparse.Namespace) -> int:
    kept_s = None if asked.keep_prompts is None else asked.keep_prompts * 3600
    return asyncio.run(commands.create(replication=asked.replication, prompts_kept_s=kept_s))


def _dead_letters(_: argparse.Namespace) -> int:
    return asyncio.run(commands.dead_letters())


def _tell(error: CatoError, code: int) -> int:
    sys.stderr.write(f"cato: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
