"""What is typed behind `up` and `demo` is refused in one line before anything starts."""

from pathlib import Path

import pytest

from deploy.local.command import main
from deploy.local.errors import FolderTaken, StoreUnreachable
from deploy.local.house import alone_in
from deploy.local.redis import must_answer


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("up --port 99999", "expected a port from 0 to 65535, found '99999'"),
        ("up --port -1", "expected a port from 0 to 65535, found '-1'"),
        ("up --workers 0", "expected a whole number above 0, found '0'"),
        ("up --model small,workers=0", "workers=0 is not a number of workers above 0"),
        ("up --scale-to 0", "expected a whole number above 0, found '0'"),
        ("up --scale-hold nan", "expected a number above 0, found 'nan'"),
        ("demo --seconds nan", "expected a number above 0, found 'nan'"),
        ("demo --rate 0", "expected a number above 0, found '0'"),
    ],
)
def test_a_number_that_no_house_can_have_is_refused_before_one_is_started(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(typed.split())

    assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--announce"])
def test_a_place_that_cannot_be_written_is_named_before_anything_is_started(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SystemExit, match="2"):
        main(["up", "--out", str(tmp_path), option, str(tmp_path / "file" / "below")])

    assert f"{tmp_path}/file/below cannot be" in capsys.readouterr().err


def test_two_houses_never_stand_in_one_folder(tmp_path: Path) -> None:
    second = alone_in(tmp_path)
    with alone_in(tmp_path), pytest.raises(FolderTaken, match="choose another --out"), second:
        pass

    with alone_in(tmp_path):
        pass


async def test_what_is_no_address_of_a_redis_is_refused_with_the_option_that_names_one() -> None:
    with pytest.raises(StoreUnreachable, match="--redis or CATO_REDIS_URL"):
        await must_answer("nonsense")
