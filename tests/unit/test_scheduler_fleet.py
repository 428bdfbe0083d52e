"""What workers said of themselves is dated by when they said it, whatever their clocks show."""

import pytest

from services.scheduler.fleet import Fleet, Seat
from shared.messages.pool import WorkerReported


def a_report(at: float) -> WorkerReported:
    return WorkerReported(
        worker="worker-1", incarnation="a1", model="cato-demo", at=at, slots=4, profile="reference"
    )


@pytest.mark.parametrize("ahead_s", [-5.0, 0.0, 5.0])
def test_a_report_counts_from_when_it_was_written_whatever_its_writer_s_clock_shows(
    ahead_s: float,
) -> None:
    fleet = Fleet(partitions=4)

    for written_at, took_s in ((100.0, 0.002), (100.1, 0.040), (100.2, 0.010)):
        seat = fleet.hear(a_report(at=written_at + ahead_s), written_at + took_s)

    assert isinstance(seat, Seat)
    assert seat.written_at == pytest.approx(written_at, abs=0.001)
