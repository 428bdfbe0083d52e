"""Apache Kafka is a Java program: it needs Java 17 and its jars, from KAFKA_HOME or from Maven."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.errors import KafkaUnavailable

POM: Final = Path(__file__).parents[1] / "kafka" / "pom.xml"

_OLDEST_JAVA: Final = 17
_DOWNLOAD_WITHIN_S: Final = 480.0
_VERSION = re.compile(r'version "(\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaProgram:
    """What it takes to run one of Kafka's main classes."""

    java: str
    classpath: str


async def kafka_program() -> KafkaProgram:
    """Kafka as it is installed here, downloaded on first use; KafkaUnavailable says what lacks."""
    java = await _java()
    home = os.environ.get("KAFKA_HOME")
    jars = _jars_of(Path(home)) if home else await _jars_from_maven()
    return KafkaProgram(java=java, classpath=f"{jars}{os.sep}*")


async def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}{os.sep}bin") if home else shutil.which("java")
    remedy = (
        f"install Java {_OLDEST_JAVA} or newer (Debian and Ubuntu: apt install"
        " openjdk-17-jre-headless) or point JAVA_HOME at one"
    )
    if java is None:
        raise KafkaUnavailable("there is no java on PATH or under JAVA_HOME", remedy)
    _, said = await _run(java, "-version")
    found = _VERSION.search(said)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        raise KafkaUnavailable(f"{java} is older than Java {_OLDEST_JAVA}", remedy)
    return java


def _jars_of(home: Path) -> Path:
    jars = home / "libs"
    if not any(jars.glob("kafka-clients-*.jar")):
        raise KafkaUnavailable(
            f"KAFKA_HOME={home} holds no Kafka", "point it at an unpacked Kafka distribution"
        )
    return jars


async def _jars_from_maven() -> Path:
    target = POM.parent / "target"
    target.mkdir(exist_ok=True)
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    stamp = target / "complete"
    with _alone(target / "lock"):
        if not stamp.exists() or stamp.read_text() != wanted:
            # Jars of an earlier version beside those of this one would both be on the classpath.
            shutil.rmtree(target / "dependency", ignore_errors=True)
            await _download()
            stamp.write_text(wanted)
    return target / "dependency"


async def _download() -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable(
            "there is no mvn on PATH to download Apache Kafka with",
            "install Maven (Debian and Ubuntu: apt install maven) or point KAFKA_HOME at a Kafka",
        )
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime")
    try:
        async with asyncio.timeout(_DOWNLOAD_WITHIN_S):
            status, said = await _run(maven, "-B", "-q", "-f", str(POM), *goal)
    except TimeoutError:
        status, said = 1, f"no end after {_DOWNLOAD_WITHIN_S:g} s"
    if status:
        raise KafkaUnavailable(
            f"Maven could not download Apache Kafka: {said.strip()[-600:]}",
            "look at the network and Maven's settings, or point KAFKA_HOME at a Kafka",
        )


async def _run(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two houses on one machine must not download into one folder at once."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
