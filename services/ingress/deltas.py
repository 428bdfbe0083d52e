"""Tool calls and whatever else engines send beside text come in parts that add up."""

import json
from collections.abc import Iterable

from pydantic import JsonValue

_Object = dict[str, JsonValue]


def joined(deltas: Iterable[str]) -> _Object:
    """All parts, each a JSON object, as the one object that they describe."""
    whole: _Object = {}
    for delta in deltas:
        part = json.loads(delta)
        if isinstance(part, dict):
            _add(whole, part)
    _drop_places(whole)
    return whole


def _add(whole: _Object, part: _Object) -> None:
    for name, value in part.items():
        before = whole.get(name)
        match before, value:
            case str(), str() if name not in ("id", "type", "role"):
                whole[name] = before + value
            case dict(), dict():
                _add(before, value)
            case list(), list():
                _add_items(before, value)
            case None, list():
                items: list[JsonValue] = []
                _add_items(items, value)
                whole[name] = items
            case _:
                whole[name] = value


def _add_items(whole: list[JsonValue], part: list[JsonValue]) -> None:
    """Parts of a list name their place in it by `index`."""
    for item in part:
        same = next((known for known in whole if _place(known) == _place(item) is not None), None)
        if isinstance(same, dict) and isinstance(item, dict):
            _add(same, item)
        else:
            whole.append(item)


def _place(item: JsonValue) -> JsonValue:
    return item.get("index") if isinstance(item, dict) else None


def _drop_places(whole: _Object) -> None:
    for value in whole.values():
        for item in value if isinstance(value, list) else ():
            if isinstance(item, dict):
                item.pop("index", None)
