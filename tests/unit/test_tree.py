"""The laws of the tree that no linter keeps: sizes, places, and words that may not stand in it."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_PRODUCT: Final = ("services", "shared", "deploy", "loadgen")
_PACKAGES: Final = (*_PRODUCT, "tests")
_LEFT_BY_TOOLS: Final = re.compile(r"\.(?!ci$).*|.*\.egg-info|__pycache__|build|out")
_SAYS_NOTHING: Final = frozenset({"util", "utils", "common", "helper", "helpers", "core", "base"})
# In pieces, so that this file obeys what it says.
_UNFINISHED: Final = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + r"X)\b")
_WRITTEN: Final = frozenset({".py", ".lua", ".toml", ".yml", ".yaml", ".md", ".xml", ".html", ""})

_FILE_LINES: Final = 300
_FUNCTION_LINES: Final = 40
_MEDIAN_FUNCTION_LINES: Final = 8
_SERVICE_FIELDS: Final = 6
_PORT_METHODS: Final = 14

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    path: Path
    source: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(_ROOT))

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    def functions(self) -> Iterator[_Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, _Function))


@cache
def _modules(packages: tuple[str, ...] = _PACKAGES) -> tuple[Module, ...]:
    paths = sorted(path for package in packages for path in (_ROOT / package).rglob("*.py"))
    sources = ((path, path.read_text()) for path in paths)
    return tuple(Module(path=p, source=text, tree=ast.parse(text)) for p, text in sources)


def _lines(function: _Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _is_protocol(node: ast.ClassDef) -> bool:
    return any("Protocol" in _names_in(base) for base in node.bases)


def _is_changeable(node: ast.ClassDef) -> bool:
    told = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(each.startswith("dataclass") and "frozen=True" not in each for each in told)


def _fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    fields = (statement for statement in node.body if isinstance(statement, ast.AnnAssign))
    return [field for field in fields if "ClassVar" not in _names_in(field.annotation)]


def _names_in(node: ast.AST) -> frozenset[str]:
    return frozenset(part.id for part in ast.walk(node) if isinstance(part, ast.Name))


def _stands_on(node: ast.ClassDef, ports: Iterable[str]) -> bool:
    """Is it a service: a thing that changes and whose fields are ports?"""
    named = frozenset[str]().union(*(_names_in(field.annotation) for field in _fields(node)))
    return _is_changeable(node) and not named.isdisjoint(ports)


def test_the_top_level_holds_the_promised_folders_only() -> None:
    folders = {path.name for path in _ROOT.iterdir() if path.is_dir()}

    ours = {name for name in folders if not _LEFT_BY_TOOLS.fullmatch(name)}

    assert ours == {*_PACKAGES, ".ci"}


def test_no_file_is_longer_than_one_can_hold_in_mind() -> None:
    lengths = {module.name: len(module.source.splitlines()) for module in _modules()}

    assert {name: lines for name, lines in lengths.items() if lines > _FILE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = {
        f"{module.name}:{function.lineno} {function.name}": _lines(function)
        for module in _modules()
        for function in module.functions()
    }

    assert {name: lines for name, lines in lengths.items() if lines > _FUNCTION_LINES} == {}


def test_half_of_the_functions_fit_in_eight_lines() -> None:
    lengths = [_lines(each) for module in _modules(_PRODUCT) for each in module.functions()]

    assert not lengths or median(lengths) <= _MEDIAN_FUNCTION_LINES


def test_no_service_stands_on_more_than_six_fields() -> None:
    modules = _modules(_PRODUCT)
    ports = {node.name for module in modules for node in module.classes() if _is_protocol(node)}

    sizes = {
        f"{module.name} {node.name}": len(_fields(node))
        for module in _modules(("services",))
        for node in module.classes()
        if _stands_on(node, ports)
    }

    assert {name: fields for name, fields in sizes.items() if fields > _SERVICE_FIELDS} == {}


def test_ports_are_small() -> None:
    sizes = {
        f"{module.name} {node.name}": sum(isinstance(part, _Function) for part in node.body)
        for module in _modules(_PRODUCT)
        for node in module.classes()
        if _is_protocol(node)
    }

    assert {name: methods for name, methods in sizes.items() if methods > _PORT_METHODS} == {}


def test_every_module_opens_with_a_sentence() -> None:
    mute = [module.name for module in _modules() if not ast.get_docstring(module.tree)]

    assert mute == []


def test_any_type_goes_in_adapters_only() -> None:
    inside = (m for m in _modules(_PRODUCT) if not m.name.startswith("shared/adapters/"))

    loose = [module.name for module in inside if "Any" in _names_in(module.tree)]

    assert loose == []


def test_every_folder_and_file_has_a_name_that_says_something() -> None:
    stems = {
        module.name: {*module.path.relative_to(_ROOT).parts, module.path.stem}
        for module in _modules()
    }

    assert [name for name, parts in stems.items() if parts & _SAYS_NOTHING] == []


def test_nothing_is_left_unfinished() -> None:
    places = (path for package in _PACKAGES for path in (_ROOT / package).rglob("*"))
    beside = (path for path in _ROOT.iterdir() if not path.name.startswith("."))
    written = (p for p in (*places, *beside) if p.is_file() and p.suffix in _WRITTEN)
    ours = (path for path in written if "target" not in path.parts)

    unfinished = [str(path) for path in ours if _UNFINISHED.search(path.read_text())]

    assert unfinished == []


def test_pinned_dependencies_come_from_wherever_the_reader_gets_his() -> None:
    pins = list((_ROOT / "deploy" / "requirements").glob("*.txt"))

    sourced = re.compile(
        r"^(?!\s*#).*(?:://|--(?:extra-)?index-url|--find-links| @ )", re.MULTILINE
    )

    assert pins
    assert [path.name for path in pins if sourced.search(path.read_text())] == []
