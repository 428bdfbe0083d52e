"""Whoever set a variable wrongly wants to read its name, what was given, and what would do."""

import difflib
import logging
import os
import re
from collections.abc import Iterator
from typing import Final

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as UnreadableSetting

log = logging.getLogger(__name__)

_FIELD: Final = re.compile(r'field "(\w+)"')


def variables_of(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Every environment variable that these settings read, with its field."""
    return {_variable(settings, name): field for name, field in settings.model_fields.items()}


def complaints(settings: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    """One sentence for each thing that is wrong."""
    for detail in error.errors(include_url=False):
        yield _complaint(settings, detail)


def complaint_of_unreadable(settings: type[BaseSettings], error: UnreadableSetting) -> str:
    """What should have been JSON is not; the library names the field alone."""
    name = _FIELD.search(str(error))
    if name is None or name[1] not in settings.model_fields:
        return f"{error}: {error.__cause__}"
    return (
        f"{_variable(settings, name[1])} is not valid JSON: {_lowered(str(error.__cause__))}"
        f"{_expected(settings.model_fields[name[1]])}"
    )


def strangers_of(settings: type[BaseSettings]) -> dict[str, str | None]:
    """Variables under our prefix that mean nothing here, each with what it was likely to mean."""
    known = variables_of(settings)
    prefix = settings.model_config.get("env_prefix", "")
    given = (name for name in os.environ if name.startswith(prefix))
    return {name: _closest(name, known) for name in given if not _is_known(name, known)}


def warn_of_strangers(settings: type[BaseSettings]) -> None:
    """Only of likely mistakes: one environment often serves several processes."""
    for name, meant in strangers_of(settings).items():
        if meant is not None:
            log.warning("unknown setting ignored", extra={"given": name, "closest": meant})


def _complaint(settings: type[BaseSettings], detail: ErrorDetails) -> str:
    if not detail["loc"]:
        # Our own validators compare several settings and name them in their words.
        return detail["msg"].removeprefix("Value error, ")
    variable = _named(settings, detail)
    field = variables_of(settings).get(variable.partition("__")[0])
    if detail["type"] == "missing":
        return f"{variable} is not set{_meant(settings, variable)}{_expected(field)}"
    problem = detail["msg"].removeprefix("Value error, ")
    return f"{variable} is {_given(field, detail)}: {_lowered(problem)}{_expected(field)}"


def _named(settings: type[BaseSettings], detail: ErrorDetails) -> str:
    first, *inner = map(str, detail["loc"])
    variable = first if first.isupper() else _variable(settings, first)
    # Items of a list and members of a union have no variable of their own.
    nested = [part.upper() for part in inner if part.isidentifier() and part.islower()]
    is_nested = bool(nested) and f"{variable}__{nested[0]}" in os.environ
    return "__".join([variable, *nested]) if is_nested else variable


def _variable(settings: type[BaseSettings], name: str) -> str:
    alias = settings.model_fields[name].validation_alias if name in settings.model_fields else None
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def _given(field: FieldInfo | None, detail: ErrorDetails) -> str:
    is_secret = field is not None and (
        not field.repr or SecretStr.__name__ in str(field.annotation)
    )
    return "wrong (a secret, not shown)" if is_secret else repr(detail["input"])


def _expected(field: FieldInfo | None) -> str:
    return f"; expected {field.description}" if field is not None and field.description else ""


def _meant(settings: type[BaseSettings], variable: str) -> str:
    similar = (name for name, meant in strangers_of(settings).items() if meant == variable)
    found = next(similar, None)
    return f" (but {found} is: was it meant?)" if found else ""


def _closest(name: str, known: dict[str, FieldInfo]) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.85)), None)


def _is_known(name: str, known: dict[str, FieldInfo]) -> bool:
    return name in known or name.removesuffix("_FILE") in known or name.partition("__")[0] in known


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
