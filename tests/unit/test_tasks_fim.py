"""The marks around a cursor are part of a model: one wrong blank and it writes nonsense."""

import pytest

from shared.tasks.fim import FIM_TEMPLATES, fim_template_for, has_fim_markers

AS_PUBLISHED = {
    "qwen2.5-coder": "<|fim_prefix|>before<|fim_suffix|>after<|fim_middle|>",
    "starcoder2": "<fim_prefix>before<fim_suffix>after<fim_middle>",
    "codellama": "<PRE> before <SUF>after <MID>",
    "deepseek-coder": (
        "<\uff5cfim\u2581begin\uff5c>before<\uff5cfim\u2581hole\uff5c>after"
        "<\uff5cfim\u2581end\uff5c>"
    ),
    "codestral": "[SUFFIX]after[PREFIX]before",
}


@pytest.mark.parametrize("name", FIM_TEMPLATES)
def test_a_template_renders_as_its_model_card_writes_it(name: str) -> None:
    rendered = FIM_TEMPLATES[name].render("before", "after")

    assert rendered == AS_PUBLISHED[name]


@pytest.mark.parametrize("name", FIM_TEMPLATES)
def test_what_a_template_renders_is_recognised_as_rendered(name: str) -> None:
    rendered = FIM_TEMPLATES[name].render("x" * 500_000, "y" * 500)

    assert has_fim_markers(rendered)
    assert has_fim_markers(f"<s>{rendered}")


def test_a_repository_level_prompt_is_recognised_by_its_end() -> None:
    prompt = "<|repo_name|>shop\n<|file_sep|>a.py\nx = 1\n<|file_sep|>b.py\n<|fim_prefix|>y = "

    assert has_fim_markers(f"{prompt}<|fim_suffix|>\n<|fim_middle|>\n")


@pytest.mark.parametrize(
    "text",
    ["", "def f():\n    return 1\n", "what is [SUFFIX] for?", 'X = "<fim_prefix>"\n', "\ud800"],
)
def test_text_that_only_mentions_a_mark_is_not_rendered(text: str) -> None:
    assert not has_fim_markers(text)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen2.5-Coder-1.5B", "qwen2.5-coder"),
        ("bigcode/starcoder2-3b", "starcoder2"),
        ("codellama/CodeLlama-7b-hf", "codellama"),
        ("deepseek-ai/deepseek-coder-1.3b-base", "deepseek-coder"),
        ("mistralai/Codestral-22B-v0.1", "codestral"),
        ("cato-demo", "qwen2.5-coder"),
    ],
)
def test_a_model_name_finds_its_template(model: str, name: str) -> None:
    assert fim_template_for(model) == FIM_TEMPLATES[name]


@pytest.mark.parametrize("name", FIM_TEMPLATES)
def test_an_answer_stops_at_the_marks_of_its_own_template(name: str) -> None:
    template = FIM_TEMPLATES[name]

    assert template.between.strip() in template.stop
