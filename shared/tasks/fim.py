"""Fill in the middle: every model family has its own marks for what lies around the cursor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Longer than any beginning-of-text mark and any mark of the templates together.
_EDGE_CHARS: Final = 96

_TEXT_BEGINS: Final = ("<s>", "<|endoftext|>", "<\uff5cbegin\u2581of\u2581sentence\uff5c>")


@dataclass(frozen=True, slots=True, kw_only=True)
class FimTemplate:
    """One side of the cursor, the other side, and the marks around them.

    The model writes on after `closing`. `families` are parts of the names of models that use it;
    `stop` ends an answer that runs on.
    """

    opening: str
    between: str
    closing: str
    stop: tuple[str, ...]
    families: tuple[str, ...]
    is_suffix_first: bool = False

    def render(self, prefix: str, suffix: str) -> str:
        first, second = (suffix, prefix) if self.is_suffix_first else (prefix, suffix)
        return f"{self.opening}{first}{self.between}{second}{self.closing}"


# As the model cards and reference implementations write them. DeepSeek's marks have wide
# bars (U+FF5C) and low blocks (U+2581) in them. The blanks around CodeLlama's marks belong to
# the format.
FIM_TEMPLATES: Final[Mapping[str, FimTemplate]] = {
    "qwen2.5-coder": FimTemplate(
        opening="<|fim_prefix|>",
        between="<|fim_suffix|>",
        closing="<|fim_middle|>",
        stop=(
            "<|endoftext|>",
            "<|fim_prefix|>",
            "<|fim_suffix|>",
            "<|fim_middle|>",
            "<|fim_pad|>",
            "<|repo_name|>",
            "<|file_sep|>",
            "<|im_start|>",
            "<|im_end|>",
        ),
        families=("qwen",),
    ),
    "starcoder2": FimTemplate(
        opening="<fim_prefix>",
        between="<fim_suffix>",
        closing="<fim_middle>",
        stop=(
            "<|endoftext|>",
            "<fim_prefix>",
            "<fim_suffix>",
            "<fim_middle>",
            "<file_sep>",
            "<repo_name>",
        ),
        families=("starcoder", "stable-code", "granite"),
    ),
    "codellama": FimTemplate(
        opening="<PRE> ",
        between=" <SUF>",
        closing=" <MID>",
        stop=("<EOT>", "<PRE>", "<SUF>", "<MID>"),
        families=("codellama", "code-llama"),
    ),
    "deepseek-coder": FimTemplate(
        opening="<\uff5cfim\u2581begin\uff5c>",
        between="<\uff5cfim\u2581hole\uff5c>",
        closing="<\uff5cfim\u2581end\uff5c>",
        stop=(
            "<\uff5cfim\u2581begin\uff5c>",
            "<\uff5cfim\u2581hole\uff5c>",
            "<\uff5cfim\u2581end\uff5c>",
            "<\uff5cend\u2581of\u2581sentence\uff5c>",
        ),
        families=("deepseek",),
    ),
    "codestral": FimTemplate(
        opening="[SUFFIX]",
        between="[PREFIX]",
        closing="",
        stop=("[PREFIX]", "[SUFFIX]"),
        families=("codestral",),
        is_suffix_first=True,
    ),
}

_DEFAULT: Final = FIM_TEMPLATES["qwen2.5-coder"]
_OPENINGS: Final = tuple(template.opening.strip() for template in FIM_TEMPLATES.values())
_CLOSINGS: Final = tuple(
    template.closing.strip() for template in FIM_TEMPLATES.values() if template.closing
)


def fim_template_for(model: str) -> FimTemplate:
    """By the family in the model's name; a model of no known family gets Qwen's template."""
    name = model.lower()
    fitting = (
        template
        for template in FIM_TEMPLATES.values()
        if any(family in name for family in template.families)
    )
    return next(fitting, _DEFAULT)


def has_fim_markers(text: str) -> bool:
    """Did an editor render the template itself?

    Only the edges count: code that merely mentions a mark, as this file does, is not rendered.
    """
    head = text[:_EDGE_CHARS].lstrip()
    for begin in _TEXT_BEGINS:
        head = head.removeprefix(begin)
    return head.startswith(_OPENINGS) or text[-_EDGE_CHARS:].rstrip().endswith(_CLOSINGS)
