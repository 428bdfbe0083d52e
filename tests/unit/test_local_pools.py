"""What is typed after `--model` decides which pools a laptop's house has, and what is theirs."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from deploy.local.command import main
from deploy.local.house import Pool
from deploy.local.pools import Asked, pools_of, tokenizers_of

URL = "http://gpu:8000/v1"


def pools(
    *models: str, workers: int = 2, engine_url: str | None = None, usual_engine: str | None = None
) -> Sequence[tuple[int, Mapping[str, str]]]:
    options = argparse.Namespace(
        models=[Asked.read(model) for model in models] or None,
        workers=workers,
        engine=None,
        engine_url=engine_url,
        profile=None,
        policy=None,
        slots=None,
        usual_engine=usual_engine,
    )
    return [(pool.workers, pool.settings) for pool in pools_of(options)]


def test_without_a_word_there_is_one_pool_of_the_usual_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pools() == [(2, {"CATO_MODEL": "cato-demo"})]

    monkeypatch.setenv("CATO_MODEL", "mine")
    assert pools() == [(2, {"CATO_MODEL": "mine"})]


def test_each_model_is_a_pool_and_what_is_said_of_one_stands_before_what_is_said_of_all() -> None:
    small, large = pools("small", "qwen2.5-coder:7b,workers=1,profile=h100-7b", workers=3)

    assert small == (3, {"CATO_MODEL": "small"})
    assert large == (1, {"CATO_MODEL": "qwen2.5-coder:7b", "CATO_PROFILE": "h100-7b"})


def test_the_server_of_one_pool_is_nobody_else_s() -> None:
    small, large = pools("small", f"large,engine-url={URL}")

    assert small == (2, {"CATO_MODEL": "small"})
    assert large[1]["CATO_ENGINE"] == "openai"
    assert large[1]["CATO_ENGINE_URL"] == URL


def test_one_server_may_have_all_models() -> None:
    told = [settings for _, settings in pools("small", "large", engine_url=URL)]

    assert [each["CATO_ENGINE_URL"] for each in told] == [URL, URL]


def test_the_embedded_engine_brings_its_own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, settings),) = pools("small,engine=embedded")

    assert settings["CATO_PROFILE"] == "embedded"
    assert settings["CATO_ENGINE_MODEL"].endswith("cato-code")

    monkeypatch.setenv("CATO_ENGINE_MODEL", "/models/mine")
    ((_, settings),) = pools("small,engine=embedded")
    assert settings["CATO_ENGINE_MODEL"] == "/models/mine"


def test_the_usual_engine_is_for_whoever_says_nothing_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [
        settings.get("CATO_ENGINE")
        for _, settings in pools(
            "usual", f"server,engine-url={URL}", "timed,profile=h100-7b", usual_engine="embedded"
        )
    ]
    assert said == ["embedded", "openai", None]

    monkeypatch.setenv("CATO_ENGINE", "simulated")
    ((_, settings),) = pools(usual_engine="embedded")
    assert "CATO_ENGINE" not in settings


def test_a_model_that_lies_in_a_folder_brings_its_tokenizer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    here = Pool(settings={"CATO_MODEL": "here", "CATO_ENGINE_MODEL": str(tmp_path)})
    away = Pool(settings={"CATO_MODEL": "away", "CATO_ENGINE_MODEL": "Qwen/Qwen2.5-Coder-7B"})

    assert json.loads(tokenizers_of([here, away])["CATO_TOKENIZERS"]) == {
        "here": str(tmp_path / "tokenizer.json")
    }
    assert tokenizers_of([away]) == {}

    monkeypatch.setenv("CATO_TOKENIZERS", "{}")
    assert tokenizers_of([here]) == {}


def test_a_policy_brings_its_feeder() -> None:
    ((_, settings),) = pools("small,policy=edf")

    assert settings == {"CATO_MODEL": "small", "CATO_POLICY": "edf", "CATO_FEEDER": "fcfs"}


def test_a_model_that_is_named_twice_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["up", "--out", str(tmp_path), "--model", "small", "--model", "small,workers=1"])

    assert status == 1
    assert capsys.readouterr().err.splitlines() == [
        "cato: --model small is given twice; write small,workers=N for more workers"
    ]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("small,speed=5", "'speed=5' is not one of workers=…, engine=…, engine-url=…"),
        ("small,workers=many", "workers=many is not a number of workers above 0"),
        ("small,workers", "'workers' is not one of workers=…"),
        (",workers=2", "a model has a name"),
    ],
)
def test_a_pool_that_is_written_wrongly_is_told_what_would_be_right(
    capsys: pytest.CaptureFixture[str], model: str, said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["up", "--model", model])

    assert said in capsys.readouterr().err


def test_every_pool_has_to_fit_below_the_bound_of_scaling(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = ("--model", "small", "--model", "large,workers=5")

    status = main(["up", "--out", str(tmp_path), *pools, "--scale-to", "4"])

    assert status == 1
    assert "--scale-to 4 is below --workers 5" in capsys.readouterr().err
