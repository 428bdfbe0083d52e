"""A report says the same in JSON, in a terminal and on a page, of one run or of several."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from loadgen.report.document import ReportUnreadable, RunReport, Sender, encode, read_runs
from loadgen.report.observation import Ending, Observation
from loadgen.report.page import page
from loadgen.report.table import COLUMNS, show
from loadgen.report.tally import figures_of
from shared.tasks import TASKS


def an_observation(index: int, kind: str, *, is_synthetic: bool = False) -> Observation:
    is_shed = index % 10 == 9
    return Observation(
        kind=kind,
        tenant=f"tenant-{index % 3 + 1}",
        at_s=index / 10,
        promise=TASKS[kind].promise,
        ending=Ending.SHED if is_shed else Ending.ANSWERED,
        ttft_s=None if is_shed else 0.01 * (index + 1),
        e2e_s=None if is_shed else 0.1 * (index + 1),
        output_tokens=20,
        is_synthetic=is_synthetic,
        error=None,
    )


def a_run(name: str = "ours", *, late_s: float = 0.001, is_synthetic: bool = False) -> RunReport:
    seen = [
        an_observation(i, kind, is_synthetic=is_synthetic)
        for kind in ("completion", "summarization")
        for i in range(50)
    ]
    return RunReport(
        name=name,
        source="live",
        setting={"mix": "reference", "seed": "1"},
        duration_s=5.0,
        offered_per_s=20.0,
        limits=None,
        sender=Sender(late_p50_s=0.0, late_p99_s=late_s, cpu_ms_per_request=0.5),
        figures=figures_of(seen, duration_s=5.0),
    )


def in_a_terminal(*runs: RunReport) -> str:
    console = Console(file=io.StringIO(), width=COLUMNS)
    show(runs, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "report.json"

    file.write_bytes(encode([a_run("ours"), a_run("theirs")]))

    assert read_runs(file) == (a_run("ours"), a_run("theirs"))


def test_a_percentile_that_was_never_reached_is_null() -> None:
    (run,) = json.loads(encode([a_run()]))["runs"]

    kept = run["figures"]["total"]["ttft_s"]["kept"]

    assert sorted(kept) == ["p50", "p90", "p95", "p99"]
    assert kept["p99"] is None


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2, "runs": []}', '{"runs": [{}]}'])
def test_a_file_that_is_no_report_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)

    with pytest.raises(ReportUnreadable, match=r"other\.json: expected a report\.json"):
        read_runs(file)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReportUnreadable, match="No such file"):
        read_runs(tmp_path / "none.json")


def test_tables_fit_into_a_hundred_columns_and_lose_nothing() -> None:
    text = in_a_terminal(a_run("first come, first served"), a_run("cato"))

    assert max(map(len, text.splitlines())) <= COLUMNS
    assert "first come, fir…" in text
    assert "∞" in text
    assert set(re.findall(r"\S*…", text)) == {"fir…"}


def test_every_run_has_its_own_rows_in_one_table() -> None:
    lines = in_a_terminal(a_run("ours"), a_run("theirs")).splitlines()

    rows = [line.split()[:2] for line in lines if line.startswith("completion")]

    assert rows == [["completion", "ours"], ["completion", "theirs"]] * 3


def test_a_page_needs_nothing_beside_itself() -> None:
    text = page([a_run("ours"), a_run("theirs")])

    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    assert text.count("<svg") == 2 + 2 * 2
    assert "$" not in text


def test_a_page_opens_with_the_best_result_as_a_sentence() -> None:
    good, better = a_run("good"), a_run("better")
    total = replace(better.figures.total, attainment=0.99)
    better = replace(better, figures=replace(better.figures, total=total))

    header = page([good, better]).partition("<header>")[2].partition("</header>")[0]

    assert header.startswith("<p>better: 99.0% of 100 requests kept their whole promise")


def test_names_are_text_and_never_markup() -> None:
    text = page([a_run("<b>ours</b>")])

    assert "<b>ours" not in text
    assert "&lt;b&gt;ours" in text


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (a_run(is_synthetic=True), "Tokens are synthetic"),
        (a_run(late_s=0.2), "The load generator itself was late: p99 200 ms"),
    ],
)
def test_what_weakens_the_figures_is_said_beside_them(run: RunReport, said: str) -> None:
    assert said in in_a_terminal(run)
    assert said in page([run])


def test_a_run_in_which_nothing_was_asked_has_a_page_too() -> None:
    empty = replace(a_run("empty"), figures=figures_of([], duration_s=1))

    assert "empty: nothing was asked" in page([empty])
    assert "empty: nothing was asked" in in_a_terminal(empty)
