"""Every event is one line, for a machine and for a person."""

import json
import logging
import sys

from shared.runtime.logs import HumanLines, JsonLines


def a_record(**extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord(
        {"name": "cato.worker", "levelname": "WARNING", "levelno": 30, "msg": "task shed"}
    )
    vars(record).update(extra)
    return record


def test_facts_are_fields_of_a_json_line() -> None:
    line = JsonLines().format(a_record(task_id="t1", slack_s=-0.25, left={"a"}))

    read = json.loads(line)
    assert "\n" not in line
    assert read["event"] == "task shed"
    assert (read["level"], read["task_id"], read["slack_s"]) == ("warning", "t1", -0.25)


def test_a_person_reads_the_same_in_one_line() -> None:
    line = HumanLines().format(a_record(task_id="t1", error="two\nlines", slack_s=0.1 + 0.2))

    assert line.endswith('cato.worker: task shed task_id=t1 error="two\\nlines" slack_s=0.3')


def test_an_exception_comes_with_its_traceback() -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        record = a_record(exc_info=sys.exc_info())

    assert "KeyError: 'lost'" in json.loads(JsonLines().format(record))["exception"]
    assert "KeyError: 'lost'" in HumanLines().format(record)
