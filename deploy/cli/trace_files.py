"""The hops of one task lie scattered over the files of all processes it met."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from deploy.cli.errors import CommandFailed
from shared.telemetry import names
from shared.telemetry.spans import Attributes

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One span, as a file tells it."""

    name: str
    trace_id: str
    service: str
    start_at: float
    end_at: float
    attributes: Attributes
    error: str | None = None

    @property
    def took_s(self) -> float:
        return self.end_at - self.start_at

    @property
    def where(self) -> str:
        worker = self.attributes.get(names.WORKER)
        return f"{self.service} {worker}" if worker else self.service

    @property
    def title(self) -> str:
        """Of a chain several steps have a hop of the same name."""
        step = self.text(names.STEP)
        return self.name if step is None else f"{self.name} {step}"

    def number(self, name: str) -> float | None:
        value = self.attributes.get(name)
        return float(value) if isinstance(value, int | float) else None

    def text(self, name: str) -> str | None:
        value = self.attributes.get(name)
        return None if value is None else str(value)


def hops_of(wanted: str, directory: Path) -> list[Hop]:
    """All hops of the trace with this id, or of the task with this id, by their start.

    Raises CommandFailed, which says where it looked.
    """
    files = _files_in(directory)
    trace_id = next((hop.trace_id for hop in _hops(files, wanted) if _is_of(hop, wanted)), None)
    if trace_id is None:
        raise CommandFailed(
            f"no span of {wanted!r} in {len(files)} files under {directory}; give a task id or a "
            "trace id, a second or more after the task ended, and see CATO_TRACE_RATIO"
        )
    hops = [hop for hop in _hops(files, trace_id) if hop.trace_id == trace_id]
    return sorted(hops, key=lambda hop: (hop.start_at, -hop.end_at))


def _is_of(hop: Hop, wanted: str) -> bool:
    return wanted in (hop.trace_id, hop.attributes.get(names.TASK_ID))


def _files_in(directory: Path) -> list[Path]:
    files = sorted((*directory.glob("*.jsonl"), *directory.glob("*.jsonl.1")))
    if not files:
        raise CommandFailed(
            f"no span files under {directory}; name the directory that the services have in "
            "CATO_TRACE_DIR with --dir"
        )
    return files


def _hops(files: Iterable[Path], mentioning: str) -> Iterator[Hop]:
    """Lines that do not mention it are not parsed: a file may be long."""
    needle = mentioning.encode()
    for path in files:
        with path.open("rb") as lines:
            for line in lines:
                # A line without its end is being written now.
                if needle in line and line.endswith(b"\n"):
                    yield from _hops_in(line, path)


def _hops_in(line: bytes, path: Path) -> Iterator[Hop]:
    try:
        for resource in json.loads(line)["resourceSpans"]:
            service = str(_attributes(resource["resource"]["attributes"]).get("service.name", "?"))
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield _hop(span, service)
    except (ValueError, KeyError, TypeError) as error:
        raise CommandFailed(f"{path} holds a line that is not OTLP: {error!r}") from error


def _hop(span: dict[str, Json], service: str) -> Hop:
    status = span.get("status")
    error = status.get("message") if isinstance(status, dict) else None
    return Hop(
        name=str(span["name"]),
        trace_id=str(span["traceId"]),
        service=service,
        start_at=int(str(span["startTimeUnixNano"])) / 1e9,
        end_at=int(str(span["endTimeUnixNano"])) / 1e9,
        attributes=_attributes(span.get("attributes", [])),
        error=None if error is None else str(error),
    )


def _attributes(pairs: Json) -> Attributes:
    if not isinstance(pairs, list):
        raise TypeError("attributes are not a list")
    found = {}
    for pair in pairs:
        if isinstance(pair, dict) and isinstance(pair.get("value"), dict):
            found[str(pair["key"])] = _value(pair["value"])
    return found


def _value(value: Json) -> str | int | float | bool:
    match value:
        case {"stringValue": str(text)}:
            return text
        case {"boolValue": bool(answer)}:
            return answer
        case {"intValue": str() | int() as count}:
            return int(count)
        case {"doubleValue": str() | int() | float() as amount}:
            return float(amount)
        case _:
            return json.dumps(value)
