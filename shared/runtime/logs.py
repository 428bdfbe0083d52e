"""A log line is one event: a constant sentence, and its facts as fields.

JSON where a machine reads stderr, one readable line where a person does.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Final, Literal

LogFormat = Literal["json", "human"]

# What a record always has; everything else on it came in through `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logs(*, level: str = "INFO", form: LogFormat | None = None) -> None:
    """Send all logs to stderr; without a form, a terminal gets readable lines."""
    human = sys.stderr.isatty() if form is None else form == "human"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HumanLines() if human else JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # aiokafka tells of every rebalance and retry, which the house reports in its own words.
    logging.getLogger("aiokafka").setLevel(max(logging.WARNING, logging.getLogger().level))
    # Ten times a second it tells that a topic is missing; what needs the topic says so once.
    logging.getLogger("aiokafka.cluster").setLevel(logging.CRITICAL)


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line, default=str)


class HumanLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = self.formatTime(record, "%H:%M:%S")
        facts = "".join(f" {key}={_shown(value)}" for key, value in _facts(record).items())
        line = f"{at}.{int(record.msecs):03d} {record.levelname:<7} {record.name}: "
        line += f"{record.getMessage()}{facts}"
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return line


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _shown(value: object) -> str:
    """A line stays one line, whatever a fact contains."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return json.dumps(text) if not text.isprintable() or " " in text or not text else text
