"""What people write when they want something: words and phrases, and how much each one says.

A line is a weight and the phrases that have it, separated by commas. A phrase has at most three
words. Phrases in scripts without blanks between words are searched as they are.
"""

from collections.abc import Iterator, Mapping
from typing import Final

_SAID: Final[Mapping[str, str]] = {
    "generation": """
        0.8 create, generate, implement, build, make, write, code, develop, need, draft, scaffold,
            produce, schreib, schreibe, erstelle, implementiere, entwickle, crea, escribe, genera
        0.8 script, program, component, app, application, endpoint, schema, config, workflow
        0.8 dockerfile, makefile, playbook, service, server, bot, game, function that, class that
        1.5 write a, write me, implement a, create a, build a, generate a, make a, make me, code a
        1.5 need a, want a, build me, create me, give me a, show me a, function that, script that
        1.5 program that, a script, a function, a program, from scratch, one liner, eine funktion
        1.5 ein skript, ein programm, una función, un script, un programa, schreib mir, code for
        1.5 implement the, fill in the, complete the, regex for, regex that, query that
        1.5 write one, implement one, implement it, code up, schreibe ein, schreibe eine
        1.0 todo, todos, missing method, boilerplate, skeleton
    """,
    "chat": """
        1.2 how do, how can, how to, how would, how should, difference between, which, should, why
        1.2 is it, is there, are there, can i, could i, do you, best practice, best practices, what
        1.2 recommend, advice, opinion, think, versus, vs, better, when should, when would, when do
        1.2 wie, warum, welche, unterschied, sollte, cómo, cuál, por qué, diferencia, qué
        2.0 hello, hi, hey, hola, hallo, thanks, thank you, thx, danke, gracias, complexity
        2.0 difference between, how do i, how can i, should i, can i, is it possible, is it bad
        2.0 what causes, could cause, any idea, any ideas, am i, my tests, my app, my build
        1.0 error, exception, crash, crashes, traceback, installed, install, leak, does this, help
    """,
    "edit": """
        1.6 fix, refactor, rename, optimize, optimise, simplify, modify, update, change, improve
        1.6 replace, remove, extract, inline, reformat, format, apply, turn, rewrite, restructure
        1.6 add, clean, delete, move, split, insert, handle, edit, adjust, correct, shorten
        1.6 ändere, optimiere, korrigiere, entferne, ersetze, umbauen, füge, behebe, verbessere
        1.6 refactoriza, optimiza, corrige, cambia, mejora, elimina, añade, simplifica, arregla
        1.0 type hints, error handling, logging, validation, async, speed up, shorter, faster
        1.0 make this, make it, clean up, clean this, instead of, so that, to use, now make
        1.0 only output code, corrected, readable, duplicated, unused, the selected, highlighted
    """,
    "summarization": """
        4.0 summarize, summarise, summary, tldr, tl dr, sum up, sum it, summarizing, zusammenfassen
        4.0 fasse, zusammen, zusammenfassung, resume, resumen, resumir, condense, abstract, gist
        4.0 commit message, commit msg, pr description, pull request description, release notes
        4.0 changelog entry, brief overview, short overview, high level, in short, main points
        4.0 key points, one sentence, two sentences, short title, concise title, title for
        2.0 overview, brief, briefly, bullets, bullet points, übersicht, purpose, headline
        2.0 concise, in brief, few words, about, recap, short
    """,
    "explanation": """
        4.0 explain, explanation, explains, erkläre, erklär, erklären, explica, explícame, explicar
        4.0 what does, walk me, walk through, was macht, qué hace, what is happening, understand
        3.0 how does this, how does it, how this works, how it works, going on, step by, break down
        3.0 line by, clarify, teach me, what is this, meaning of, schritt für, paso a, verstehe
        2.0 describe, in detail, mean, means, works, work, entiendo, purpose of, understanding
    """,
    "docstring": """
        5.0 docstring, docstrings, javadoc, jsdoc, tsdoc, rustdoc, godoc, doxygen, kdoc, phpdoc
        4.0 documentation, document this, document the, doc comment, doc comments, doc string
        4.0 doc strings, dokumentiere, dokumentation, documentación, documenta, xml comments
        3.0 comment this, add comments, comments, comment, document, kommentare, comentarios, doc
    """,
    "tests": """
        5.0 unit test, unit tests, write tests, add tests, test cases, test case, test suite
        5.0 pytest, junit, jest, mocha, vitest, rspec, gtest, unittest, hypothesis, tests for
        5.0 pruebas unitarias, pruebas, write a test, property based, test this, unittests
        3.0 tests, test, coverage, mock, fixtures, edge cases, parametrised, parametrized, specs
    """,
    "review": """
        5.0 code review, review this, review the, review my, review it, please review, pr review
        4.0 review, reviewer, critique, criticize, audit, feedback, vulnerabilities, vulnerability
        4.0 security issues, security problems, find bugs, any bugs, find the bugs, lgtm
        4.0 revisa, revisión, prüfe, überprüfe, sicherheitslücken, issues, problems, mistakes
        2.0 security, go wrong, bugs, risks, merge, problem, severity, flaws, smells, concerns
    """,
    "translation": """
        4.0 translate, translation, transpile, port this, port it, port the, port to, ported
        4.0 übersetze, übersetzen, traduce, traducir
        3.0 convert, migrate, migrating, convierte, konvertiere, equivalent, umschreiben
        1.0 rewrite, version, turn, pasar, idiomatic, idiomatically
    """,
    "batch": """
        3.0 for each of, for every, each of the, all of the, in bulk, bulk, batch, background job
        3.0 nightly, overnight, offline, dataset, synthetic, shard, jsonl, every file, every record
        3.0 every snippet, all files, every function, no hurry, pipeline, corpus, every chunk
        1.5 label, classify, annotate, tag, per line, each, alle, jede, todos los, cada uno
    """,
}

_UNSPACED: Final[Mapping[str, str]] = {
    "generation": "2.0 写一个, 写个, 写一, 实现一个, 生成一个, 创建, 请用, 编写一个, 帮我实现",
    "chat": "3.0 什么是, 区别, 为什么, 如何, 怎么, 哪个, 怎样, 你好, 谢谢, 是否",
    "edit": "3.0 重构, 修复, 优化, 修改, 改成, 改为, 重命名, 简化, 删除, 添加, 改进",
    "summarization": "4.0 总结, 概括, 摘要, 简述, 归纳, 一句话",
    "explanation": "4.0 解释, 什么意思, 含义, 做什么, 说明一下, 讲解, 工作原理",
    "docstring": "5.0 注释, 文档, 说明文档",
    "tests": "6.0 单元测试, 测试用例, 测试",
    "review": "5.0 审查, 评审, 代码审核, 漏洞, 检查",
    "translation": "5.0 翻译, 转换为, 转换成, 转成, 移植, 改写成",
    "batch": "6.0 每个文件, 每一个, 所有文件, 批量, 以下每个, 每个函数",
}


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


LANGUAGES: Final = _words(
    """ada bash c c# c++ clojure cobol cpp csharp dart elixir erlang f# fortran go golang groovy
    haskell java javascript js julia kotlin lua matlab ocaml pascal perl php powershell python
    python3 r ruby rust scala swift typescript ts vb zig"""
)
TOWARDS: Final = _words("to in into nach a en for auf als as")
QUESTIONS: Final = _words(
    """what which why how when where who is are does do did can could should would will was wie
    warum wann wo welche kann gibt qué cómo cuál por cuándo dónde"""
)

Weights = tuple[tuple[str, float], ...]


def _read(said: Mapping[str, str]) -> Iterator[tuple[str, str, float]]:
    """(phrase, kind, weight)"""
    for kind, table in said.items():
        weight = 0.0
        for part in table.replace("\n", ",").split(","):
            first, _, rest = part.strip().partition(" ")
            if first[:1].isdigit():
                weight, part = float(first), rest
            if phrase := part.strip():
                yield phrase, kind, weight


def _by_phrase(said: Mapping[str, str]) -> dict[str, Weights]:
    weights: dict[str, dict[str, float]] = {}
    for phrase, kind, weight in _read(said):
        weights.setdefault(phrase, {})[kind] = weight
    return {phrase: tuple(kinds.items()) for phrase, kinds in weights.items()}


PHRASES: Final[Mapping[str, Weights]] = _by_phrase(_SAID)
UNSPACED: Final[Mapping[str, Weights]] = _by_phrase(_UNSPACED)

_SHORTEST: Final = 5
_LONGEST: Final = 20

# Swapped letters are the usual slip of fast typing: a long word is found by its letters, too.
_BY_LETTERS: Final[Mapping[str, str]] = {
    "".join(sorted(word)): word
    for phrase in PHRASES
    for word in phrase.split()
    if len(word) >= _SHORTEST
}


def respelled(word: str) -> str:
    """The known word that has the same letters, else the word itself."""
    if not (word.isascii() and _SHORTEST <= len(word) <= _LONGEST):
        return word
    return _BY_LETTERS.get("".join(sorted(word)), word)
