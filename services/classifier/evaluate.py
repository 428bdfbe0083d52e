"""`python -m services.classifier.evaluate`: how good is a classifier on labelled requests?"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from services.classifier.classifiers import CLASSIFIERS
from services.classifier.evaluation import Cost, Findings, evaluate, read_labelled
from shared.adapters.clock import SystemClock
from shared.tasks import TASKS

_HELD_OUT: Final = Path("tests/data/classifier/held_out.jsonl")


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        labelled = read_labelled(asked.data)
    except OSError as error:
        sys.stderr.write(f"cannot read {asked.data}: {error.strerror}; name a file with --data\n")
        return 2
    found = evaluate(CLASSIFIERS[asked.classifier](), labelled, SystemClock().monotonic)
    sys.stdout.write("\n".join(_report(asked.classifier, found)) + "\n")
    if asked.json is not None:
        asked.json.write_text(json.dumps(_as_json(asked.classifier, found), indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.classifier.evaluate",
        description="Accuracy, confusion and cost per call of a classifier on labelled requests.",
    )
    parser.add_argument("--classifier", choices=tuple(CLASSIFIERS), default="words")
    parser.add_argument("--data", type=Path, default=_HELD_OUT, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    return parser


def _report(name: str, found: Findings) -> Iterator[str]:
    yield f"classifier {name}, {found.requests()} labelled requests"
    yield f"kind right           {found.accuracy():7.1%}"
    yield f"latency class right  {found.class_accuracy():7.1%}"
    yield f"cost per call        {_in_words(found.small)}"
    yield f"  at 256 KiB         {_in_words(found.large)}"
    yield ""
    yield from _matrix(found)


def _in_words(cost: Cost) -> str:
    return f"median {cost.median_us:.0f} µs, p99 {cost.p99_us:.0f} µs"


def _matrix(found: Findings) -> Iterator[str]:
    """A row for what requests were, a column for what they were taken for."""
    columns = tuple(TASKS)
    yield f"{'':14} right " + " ".join(f"{column[:6]:>6}" for column in columns)
    for kind in found.kinds():
        cells = (found.confusion.get((kind, column), 0) for column in columns)
        row = " ".join(f"{cell or '·':>6}" for cell in cells)
        yield f"{kind:14} {found.recall(kind):5.0%} {row}"


def _as_json(name: str, found: Findings) -> dict[str, object]:
    return {
        "classifier": name,
        "requests": found.requests(),
        "accuracy": found.accuracy(),
        "class_accuracy": found.class_accuracy(),
        "per_kind": {kind: found.recall(kind) for kind in found.kinds()},
        "confusion": [
            {"kind": was, "taken_for": taken, "requests": count}
            for (was, taken), count in sorted(found.confusion.items())
        ],
        "cost_us": {"small": asdict(found.small), "256_kib": asdict(found.large)},
    }


if __name__ == "__main__":
    sys.exit(main())
