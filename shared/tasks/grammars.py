"""A grammar tells whether code is written as its language demands; it knows no names and no types.

What it accepts may still not compile, and much prose is well-formed shell. What it refuses may be
right, but seldom is: in Swift and shell one file in twenty, in TSX and in C and C++ without macros
of their own one in forty, in the other languages fewer than one in a hundred. Where a project's
macros stand for syntax (`BEGIN_NAMESPACE`) nobody can tell who does not see them defined.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tree_sitter import Parser, Tree


@dataclass(frozen=True, slots=True)
class Grammar:
    """One of tree-sitter's, a package with a function for each dialect; any of them will do."""

    package: str
    dialects: tuple[str, ...] = ("language",)

    def check(self, code: str) -> None:
        """Raises ValueError where something is wrong or missing."""
        if all(tree.root_node.has_error for tree in self.trees(code)):
            raise ValueError("not well-formed")

    def trees(self, code: str) -> Iterator["Tree"]:
        """As each dialect reads it; raises ValueError for what cannot be encoded."""
        source = code.encode()
        return (parser.parse(source) for parser in self._parsers())

    def _parsers(self) -> Iterator["Parser"]:
        # Not before somebody asks: a service that never parses loads no grammar.
        from tree_sitter import Language, Parser

        package = import_module(self.package)
        for dialect in self.dialects:
            yield Parser(Language(getattr(package, dialect)()))


GRAMMARS: Final[Mapping[str, Grammar]] = {
    "bash": Grammar("tree_sitter_bash"),
    "c": Grammar("tree_sitter_c"),
    "c++": Grammar("tree_sitter_cpp"),
    "c#": Grammar("tree_sitter_c_sharp"),
    "go": Grammar("tree_sitter_go"),
    "java": Grammar("tree_sitter_java"),
    "javascript": Grammar("tree_sitter_javascript"),
    "kotlin": Grammar("tree_sitter_kotlin"),
    # The other dialect takes what is no code for text around it.
    "php": Grammar("tree_sitter_php", ("language_php_only",)),
    "ruby": Grammar("tree_sitter_ruby"),
    "rust": Grammar("tree_sitter_rust"),
    "scala": Grammar("tree_sitter_scala"),
    "swift": Grammar("tree_sitter_swift"),
    # React's elements look like the casts of plain TypeScript.
    "typescript": Grammar("tree_sitter_typescript", ("language_typescript", "language_tsx")),
}
