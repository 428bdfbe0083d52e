"""Plots and bounds need more than the house does; whoever lacks it is told how to get it."""

from importlib import import_module
from types import ModuleType


class ExtraMissing(Exception):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f'{name} is not installed; pip install "cato[load]" brings it')


def extra(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise ExtraMissing(name.partition(".")[0]) from error
