"""People ask for the same thing in many words."""

from collections.abc import Mapping
from typing import Final

from loadgen.workloads.mixes import GENERATION, SUMMARIZATION, TRANSLATION

LANGUAGES: Final[Mapping[str, str]] = {
    "typescript": "TypeScript",
    "go": "Go",
    "rust": "Rust",
    "java": "Java",
}

ASKING: Final[Mapping[str, tuple[str, ...]]] = {
    GENERATION: (
        "Implement this Python function:",
        "Write the body of the last function below.",
        "Please complete the implementation of `{name}`.",
        "I need a working `{name}` that does what its docstring says.",
        "Finish `{name}`. Reply with code only.",
        "Generate the missing code of `{name}`; keep the signature.",
    ),
    SUMMARIZATION: (
        "Summarize this code:",
        "What does this code do? Be brief.",
        "Explain `{name}` in a few sentences.",
        "Give me a short summary of the Python code below.",
        "Describe the purpose of `{name}` for a new colleague.",
        "tl;dr of this code, please",
    ),
    TRANSLATION: (
        "Translate this to {language}:",
        "Convert the following Python code to {language}.",
        "Rewrite `{name}` in {language}.",
        "Port this code from Python to {language}, idiomatically.",
        "How would this look in {language}? Reply with code only.",
        "I am moving a project to {language}. Please translate:",
    ),
}
