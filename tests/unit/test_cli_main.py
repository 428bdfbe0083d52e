"""`cato` says in one line what it could not do, and its exit code says it to scripts."""

from pathlib import Path

import pytest

from deploy.cli.__main__ import main


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CATO_KAFKA_SERVERS", "CATO_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("verb", [("topics", "create"), ("deadletters",)])
def test_missing_settings_are_named(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(verb)

    assert code == 2
    assert capsys.readouterr().err.startswith("cato: CATO_KAFKA_SERVERS is not set")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--replication", "0"], "expected a whole number above 0, found '0'"),
        (["--keep-prompts", "nan"], "expected a number above 0, found 'nan'"),
        (["--keep-prompts", "-1"], "expected a number above 0, found '-1'"),
    ],
)
def test_topics_that_no_broker_can_have_are_refused_before_it_is_asked(
    option: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["topics", "create", *option])

    assert said in capsys.readouterr().err


def test_a_check_without_settings_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["check"])

    assert code == 1
    assert "FAIL settings: CATO_KAFKA_SERVERS is not set" in capsys.readouterr().out


def test_a_trace_that_is_not_there_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["trace", "t1", "--dir", str(tmp_path)])

    assert code == 1
    assert "no span files under" in capsys.readouterr().err
