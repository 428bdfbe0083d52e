"""Each `--model` is a pool: workers of its own, and what is different about them."""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from deploy.local.errors import LocalError
from deploy.local.house import Pool
from deploy.models.architecture import MODEL
from shared.scheduling.policies import POLICIES

_SETTINGS: Final = {
    "engine": "CATO_ENGINE",
    "engine-url": "CATO_ENGINE_URL",
    "profile": "CATO_PROFILE",
    "policy": "CATO_POLICY",
    "slots": "CATO_SLOTS",
}
_WORKERS: Final = "workers"
# What the embedded engine runs, and how fast that is.
_SHIPPED_MODEL: Final = {"CATO_ENGINE_MODEL": str(MODEL), "CATO_PROFILE": "embedded"}


class NamedTwice(LocalError):
    def __init__(self, model: str) -> None:
        super().__init__(
            f"--model {model} is given twice; write {model},workers=N for more workers"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A pool as somebody typed it: `large,workers=1,engine-url=http://gpu:8000/v1`."""

    model: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ArgumentTypeError, which names what would have been known."""
        model, *rest = text.split(",")
        options = dict(_option(each) for each in rest)
        if not model:
            raise argparse.ArgumentTypeError("a model has a name; write it first")
        return cls(model=model, options=options)


def pools_of(options: argparse.Namespace) -> tuple[Pool, ...]:
    """What is said of one pool stands before what is said of all. Raises LocalError."""
    asked: list[Asked] = options.models or [Asked(model=os.environ.get("CATO_MODEL", "cato-demo"))]
    of_all = {name: getattr(options, name.replace("-", "_")) for name in (*_SETTINGS, _WORKERS)}
    pools: dict[str, Pool] = {}
    for each in asked:
        if each.model in pools:
            raise NamedTwice(each.model)
        said = {**of_all, **each.options}
        pools[each.model] = _pool(each.model, said, usual_engine=options.usual_engine)
    return tuple(pools.values())


def tokenizers_of(pools: Iterable[Pool]) -> dict[str, str]:
    """What the ingress is told of them: a model in a folder has its tokenizer beside it."""
    told = [{**os.environ, **pool.settings} for pool in pools]
    files = {
        each["CATO_MODEL"]: Path(each["CATO_ENGINE_MODEL"]) / "tokenizer.json"
        for each in told
        if "CATO_ENGINE_MODEL" in each
    }
    found = {model: str(file.absolute()) for model, file in files.items() if file.is_file()}
    if not found or "CATO_TOKENIZERS" in os.environ:
        return {}
    return {"CATO_TOKENIZERS": json.dumps(found)}


def _pool(model: str, said: Mapping[str, object], *, usual_engine: str | None) -> Pool:
    given = {_SETTINGS[name]: str(said[name]) for name in _SETTINGS if said[name]}
    settings = {"CATO_MODEL": model, **dict(_implied(given, usual_engine)), **given}
    return Pool(workers=int(str(said[_WORKERS])), settings=settings)


def _implied(given: Mapping[str, str], usual_engine: str | None) -> Iterator[tuple[str, str]]:
    """What follows from what was given, where nobody said otherwise."""
    policy = given.get("CATO_POLICY", "")
    if policy in POLICIES and "CATO_FEEDER" not in os.environ:
        yield "CATO_FEEDER", POLICIES[policy]().feeder
    engine = given.get("CATO_ENGINE") or os.environ.get("CATO_ENGINE")
    if "CATO_ENGINE" not in given and "CATO_ENGINE_URL" in given:
        engine = "openai"
        yield "CATO_ENGINE", engine
    elif usual_engine and not engine and "CATO_PROFILE" not in {**os.environ, **given}:
        engine = usual_engine
        yield "CATO_ENGINE", engine
    if engine == "embedded":
        yield from ((name, os.environ.get(name, own)) for name, own in _SHIPPED_MODEL.items())


def _option(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if name not in (*_SETTINGS, _WORKERS) or not value:
        known = ", ".join(f"{each}=…" for each in (_WORKERS, *_SETTINGS))
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {known}")
    if name == _WORKERS and not (value.isdecimal() and int(value)):
        raise argparse.ArgumentTypeError(f"workers={value} is not a number of workers above 0")
    return name, value
