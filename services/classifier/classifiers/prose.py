"""A request is a wish written around code; the wish stands at the beginning or at the end."""

import re
from dataclasses import dataclass
from typing import Final

from shared.messages.body import Body

# Wishes are short, and reading more would make a long prompt cost more than a short one.
EDGE_CHARS: Final = 300
# A wish is a little longer than its prose: blank lines, a list marker.
_LEAST_CODE: Final = 12
# A system prompt and a first question; later turns speak of code that was shown before.
_FIRST_TURNS: Final = 2

_FENCE: Final = re.compile(r"```.*?(?:```|\Z)|<(code|selection|file)>.*?(?:</\1>|\Z)", re.DOTALL)
_DIFF: Final = re.compile(r"^(?:diff --git |@@ -|--- a/|\+\+\+ b/)", re.MULTILINE)
# What a line of code looks like to somebody who does not know the language.
_CODE_LINE: Final = re.compile(
    r"""^(?:\s+\S|[}\])@$]|//|/\*|\*/|\#|-- |--- |\+\+\+ |@@ |[+-](?=[\s\w])|diff\ --git\ |index\ \d
    |(?:import|from|using|package|require|return|elsif|end)\b(?!.*\b(?:this|the|code)\b)
    |(?:async\s+|export\s+|public\s+|private\s+|static\s+|pub\s+|final\s+|abstract\s+|default\s+)*
     (?:def|fn|func|fun|function|class|struct|interface|enum|template|data\ class)\s+\S+.*[({:<]
    |(?:public|private|protected|static|const|let|var|val|export|template|typedef)\s
    |(?:SELECT|FROM|WHERE|GROUP\ BY|HAVING|ORDER\ BY|INSERT|UPDATE|CREATE\ TABLE)\s
    |(?:if|for|while|elif|else|try|except|switch|case|with)\b.*[:{(;]\s*$
    |\S+\s*(?:=|:=|\+=)\s*\S)
    |[;{}(\[,]\s*$|\)\s*(?:->.*)?:\s*$""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the client wishes, in its own words, and what lies beside the wish."""

    wish: str
    has_code: bool
    is_diff: bool


def read_request(body: Body) -> Request:
    """Looks at a bounded number of characters, however long the prompt is."""
    if body.route == "tasks":
        return _native(body)
    asked = _last_turn(body)
    beginning = asked[: 2 * EDGE_CHARS]
    if len(asked) > 2 * EDGE_CHARS:
        head, tail = asked[:EDGE_CHARS], asked[-EDGE_CHARS:]
        wish = f"{_prose(head)}\n{_prose(_after_open_fence(tail))}"
    else:
        wish = _prose(asked)
    return Request(
        wish=wish,
        has_code=len(wish) + _LEAST_CODE < len(beginning) or len(body.messages) > _FIRST_TURNS,
        is_diff=_DIFF.search(beginning) is not None,
    )


def _native(body: Body) -> Request:
    code = body.code or ""
    wish = (body.instruction or body.prompt or "")[: 2 * EDGE_CHARS]
    is_diff = _DIFF.search(code[:EDGE_CHARS]) is not None
    return Request(wish=wish, has_code=bool(code), is_diff=is_diff)


def _last_turn(body: Body) -> str:
    """What was asked last; the turns before it were answered already."""
    for message in reversed(body.messages):
        if message.role == "user":
            return message.text()
    return body.prompt or ""


def _after_open_fence(tail: str) -> str:
    """A window may begin inside a fenced block; what stands before its end is code."""
    if tail.count("```") % 2:
        return tail[tail.index("```") + 3 :]
    return tail


def _prose(text: str) -> str:
    lines = _FENCE.sub("\n", text).split("\n")
    return "\n".join(line for line in lines if line and not _CODE_LINE.search(line))
