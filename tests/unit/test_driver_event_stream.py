"""Whatever pieces the network makes of an answer, the same is read from it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.drivers.event_stream import EventStream, read_piece, tokens_until

_WIRE = (
    b": keep-alive\n\n"
    b'id: 1\nevent: tokens\ndata: {"choices":[{"text":"a"}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"bc"}}]}\r\n\r\n'
    b"data: [DONE]\n\n"
)
_DATA = [b'{"choices":[{"text":"a"}]}', b'{"choices":[{"delta":{"content":"bc"}}]}', b"[DONE]"]


@given(cuts=st.lists(st.integers(0, len(_WIRE)), max_size=6))
def test_events_are_whole_however_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(_WIRE)]
    stream = EventStream()

    heard = [data for start, end in pairwise(edges) for data in stream.feed(_WIRE[start:end])]

    assert heard == _DATA


@pytest.mark.parametrize(
    ("data", "chars"),
    [
        (b'{"choices":[{"text":"abc"}]}', 3),
        (b'{"choices":[{"delta":{"role":"assistant","content":""}}]}', 0),
        (b'{"choices":[{"delta":{"content":"ab"}}]}', 2),
        (b'{"text":"abcd"}', 4),
        (b'{"choices":[]}', 0),
        (b"17", 0),
    ],
)
def test_text_is_found_on_every_route(data: bytes, chars: int) -> None:
    assert read_piece(data).chars == chars


def test_an_error_on_the_way_is_told_by_its_code() -> None:
    assert read_piece(b'{"error":{"code":"superseded","type":"x"}}').failure == "superseded"
    assert read_piece(b'{"error":{"type":"server_error"}}').failure == "server_error"
    assert read_piece(b"{").failure == "unreadable event"


def test_usage_says_how_many_tokens_the_pieces_held() -> None:
    assert read_piece(b'{"choices":[],"usage":{"completion_tokens":7}}').completion_tokens == 7
    assert tokens_until([1, 1, 1], 3) == [1, 2, 3]
    assert tokens_until([4, 8], 6) == [2, 6]
    assert tokens_until([], 6) == []


def test_text_that_no_model_made_says_so() -> None:
    assert read_piece(b'{"choices":[],"system_fingerprint":"synthetic"}').is_synthetic
    assert read_piece(b'{"type":"token","text":"a","synthetic":true}').is_synthetic
    assert not read_piece(b'{"choices":[],"system_fingerprint":"fp_1"}').is_synthetic
    assert not read_piece(b'{"type":"token","text":"a","synthetic":false}').is_synthetic


@pytest.mark.parametrize(
    ("outcome", "failure"),
    [("completed", None), ("late", None), ("shed", "shed"), ("superseded", "superseded")],
)
def test_a_task_says_at_its_end_whether_it_was_answered(outcome: str, failure: str | None) -> None:
    ended = f'{{"type":"ended","outcome":"{outcome}","usage":{{"completion_tokens":3}}}}'

    assert read_piece(ended.encode()).failure == failure
