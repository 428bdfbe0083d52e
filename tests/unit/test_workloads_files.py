"""Trace and mix files are written by strangers: what is wrong is said with its place."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workloads.errors import ArrivalsImpossible, MixUnreadable, TraceUnreadable
from loadgen.workloads.mix_file import read_mix
from loadgen.workloads.mixes import MIXES, REFERENCE, Lengths
from loadgen.workloads.trace import TraceRow, Window, read_trace

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
A_MIX = {
    "kinds": [
        {
            "name": "completion",
            "share": 3,
            "prompt_tokens": {"median": 100, "sigma": 0.5},
            "output_tokens": {"median": 10, "sigma": 0.5, "low": 2, "high": 20},
        }
    ]
}


def a_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, newline="")
    return path


def a_trace(folder: Path, *offsets_s: float) -> Path:
    start = datetime(2023, 11, 16, 18, 17, 3, 979960, tzinfo=UTC).replace(tzinfo=None)
    rows = [
        f"{start + timedelta(seconds=offset)}0,100,{index}"
        for index, offset in enumerate(offsets_s)
    ]
    return a_file(folder, "trace.csv", HEADER + "\n".join(rows) + "\n")


def a_mix_with(path: str, value: object) -> str:
    mix = json.loads(json.dumps(A_MIX))
    *outer, last = path.split(".")
    place = mix["kinds"][0]
    for name in outer:
        place = place[name]
    place[last] = value
    return json.dumps(mix)


def test_a_trace_in_the_azure_format_counts_from_its_first_request(tmp_path: Path) -> None:
    path = a_trace(tmp_path, 0.25, 0.5, 2)

    rows = read_trace(path)

    assert [row.at_s for row in rows] == pytest.approx([0, 0.25, 1.75])
    # An answer of no tokens cannot be asked for.
    assert [row.output_tokens for row in rows] == [1, 1, 2]


def test_a_trace_of_json_lines_counts_milliseconds_from_its_first_request(tmp_path: Path) -> None:
    lines = [
        {"timestamp": 2000, "input_length": 7, "output_length": 3, "hash_ids": [1]},
        {"timestamp": 500.5, "input_length": 9, "output_length": 4},
    ]
    path = a_file(tmp_path, "trace.jsonl", "\n".join(map(json.dumps, lines)))

    rows = read_trace(path)

    assert rows == [
        TraceRow(at_s=0.0, prompt_tokens=9, output_tokens=4),
        TraceRow(at_s=1.4995, prompt_tokens=7, output_tokens=3),
    ]


def test_a_window_is_counted_from_its_own_start_and_played_at_scale(tmp_path: Path) -> None:
    path = a_trace(tmp_path, 0, 10, 12, 19.5, 20)

    rows = read_trace(path, window=Window(start_s=10, duration_s=10), rate_scale=4)

    assert [row.at_s for row in rows] == pytest.approx([0, 0.5, 2.375])


def test_a_window_without_requests_says_how_long_the_trace_is(tmp_path: Path) -> None:
    path = a_trace(tmp_path, 0, 10)

    with pytest.raises(TraceUnreadable, match=r"a trace of 10\.0 s"):
        read_trace(path, window=Window(start_s=60))


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
def test_a_trace_cannot_be_played_at_an_impossible_scale(tmp_path: Path, scale: float) -> None:
    path = a_trace(tmp_path, 0)

    with pytest.raises(ArrivalsImpossible, match="rate scale"):
        read_trace(path, rate_scale=scale)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"line 1: expected the header TIMESTAMP,ContextTokens,GeneratedTokens"),
        ("time,in,out\n", r"line 1: expected the header .* found 'time,in,out'"),
        (HEADER, r"expected at least one request, found 'none'"),
        (HEADER + "2023-11-16 18:17:03,5\n", r"line 2: expected 3 fields"),
        (HEADER + "2023-11-16 18:17:03,5,1\nsoon,5,1\n", r"line 3: expected TIMESTAMP like"),
        (HEADER + "2023-11-16 18:17:03,many,1\n", r"line 2: expected ContextTokens .* 'many'"),
        (HEADER + "2023-11-16 18:17:03,5,-1\n", r"line 2: expected GeneratedTokens .* '-1'"),
        (HEADER + "2023-11-16 18:17:03,5,1" + "0" * 5000, r"line 2: expected GeneratedTokens"),
        (HEADER + "2023-11-16\r18:17:03,5,1\r,,\n", r"line 2: expected 3 fields"),
        ('{"a":' * 100_000, r"line 1: expected a JSON object"),
        ('{"timestamp": 1}\n', r"line 1: expected a JSON object with timestamp, input_length"),
        ("{broken\n", r"line 1: expected a JSON object"),
        (
            '{"timestamp": "now", "input_length": 1, "output_length": 1}',
            r"line 1: expected timestamp as a number of ms, found 'now'",
        ),
        (
            '{"timestamp": NaN, "input_length": 1, "output_length": 1}',
            r"line 1: expected a finite timestamp",
        ),
        (
            f'{{"timestamp": 1{"0" * 400}, "input_length": 1, "output_length": 1}}',
            r"line 1: expected a finite timestamp",
        ),
        (
            '\n{"timestamp": 1, "input_length": 1.5, "output_length": 1}',
            r"line 1: expected the header",
        ),
        (
            '{"timestamp": 1, "input_length": true, "output_length": 1}',
            r"line 1: expected input_length as a whole number of tokens, found 'True'",
        ),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = a_file(tmp_path, "trace", text)

    with pytest.raises(TraceUnreadable, match=complaint) as refusal:
        read_trace(path)

    assert str(path) in str(refusal.value)


def test_files_that_are_not_there_or_not_text_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "trace.csv"
    binary.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(TraceUnreadable, match="text in UTF-8"):
        read_trace(binary)
    with pytest.raises(TraceUnreadable, match="a readable file, found 'No such file"):
        read_trace(tmp_path / "absent.csv")
    with pytest.raises(MixUnreadable, match="a readable file, found 'No such file"):
        read_mix(tmp_path / "absent.toml")


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_mix_reads_the_same_from_json_and_toml(tmp_path: Path, ending: str) -> None:
    toml = """
        [[kinds]]
        name = "completion"
        share = 3
        prompt_tokens = { median = 100, sigma = 0.5 }
        output_tokens = { median = 10, sigma = 0.5, low = 2, high = 20 }
    """
    text = {"json": json.dumps(A_MIX), "toml": toml}[ending]

    mix = read_mix(a_file(tmp_path, f"mine.{ending}", text))

    (kind,) = mix.kinds
    assert (mix.name, kind.name, kind.share, kind.route) == (
        "mine",
        "completion",
        3,
        "/v1/completions",
    )
    assert kind.prompt_tokens == Lengths(median=100, sigma=0.5, low=16, high=8000)
    assert kind.output_tokens == Lengths(median=10, sigma=0.5, low=2, high=20)
    assert kind.batch_share == 0


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("name", "poetry", r"kinds\[0\].name: expected one of completion, generation"),
        ("name", None, r"kinds\[0\].name: expected one of"),
        ("share", -1, r"kinds\[0\].share: expected a number from 0 to 1e\+06, found -1"),
        ("share", "half", r"kinds\[0\].share: expected a number from 0 to 1e\+06, found 'half'"),
        ("share", 10**400, r"kinds\[0\].share: expected a number from 0 to"),
        ("share", True, r"kinds\[0\].share: expected a number from 0 to 1e\+06, found True"),
        ("share", 0, r"kinds: expected at least one share above 0"),
        ("batch_share", 1.5, r"kinds\[0\].batch_share: expected a number from 0 to 1, found 1.5"),
        ("route", "/v2", r"kinds\[0\].route: expected one of /v1/completions, "),
        ("prompt_tokens", 5, r"kinds\[0\].prompt_tokens: expected a table with high, low"),
        ("prompt_tokens.median", 0, r"prompt_tokens.median: expected a number from 1"),
        (
            "prompt_tokens.sigma",
            math.nan,
            r"prompt_tokens.sigma: expected a number from 0 to 5, found nan",
        ),
        ("prompt_tokens.low", 0, r"prompt_tokens.low: expected a number from 1 to 1e\+06, found 0"),
        (
            "output_tokens.high",
            1,
            r"output_tokens.high: expected a number from 2 to 1e\+06, found 1",
        ),
        ("colour", "red", r"kinds\[0\]: expected a table with .* found 'colour'"),
    ],
)
def test_a_bad_mix_is_refused_with_its_field(
    tmp_path: Path, path: str, value: object, complaint: str
) -> None:
    file = a_file(tmp_path, "mix.json", a_mix_with(path, value))

    with pytest.raises(MixUnreadable, match=complaint):
        read_mix(file)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("mix.yaml", "", r"ending in .toml or .json, found '.yaml'"),
        ("mix.json", "{", r"mix.json: expected valid JSON"),
        ("mix.toml", "= 1", r"mix.toml: expected valid TOML"),
        ("mix.json", "[]", r"mix.json: expected a table with kinds, name"),
        ("mix.json", '{"kinds": []}', r"kinds: expected a list of at least one kind"),
        ("mix.json", '{"kind": []}', r"expected a table with kinds, name, found 'kind'"),
    ],
)
def test_a_file_that_is_no_mix_is_refused(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    file = a_file(tmp_path, name, text)

    with pytest.raises(MixUnreadable, match=complaint):
        read_mix(file)


def test_the_mixes_are_known_by_their_names() -> None:
    assert MIXES["reference"] is REFERENCE
    assert [kind.share for kind in REFERENCE.kinds] == [0.6, 0.2, 0.12, 0.08]
    assert sum(REFERENCE.weights()) == pytest.approx(1)


@given(text=st.text(max_size=200))
def test_no_text_at_all_crashes_the_trace_reader(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("trace") / "trace.csv"
    path.write_text(HEADER + text, encoding="utf-8", errors="replace")

    with pytest.raises(TraceUnreadable):
        read_trace(path)
