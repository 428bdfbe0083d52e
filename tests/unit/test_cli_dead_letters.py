"""An operator reads why records died, and never what a client wrote."""

import base64

from deploy.cli.dead_letters import dead_letter_lines
from shared.adapters.memory_bus import MemoryBus
from shared.domain.task import TaskId
from shared.messages.pool import DeadLettered

TRACE = "0af7651916cd43dd8448eb211c80319c"


def a_letter(reason: str) -> DeadLettered:
    return DeadLettered(
        source_topic="tasks.submitted",
        source_partition=3,
        source_offset=17,
        reason=reason,
        at=1_700_000_000.0,
        task_id=TaskId("t1"),
        traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
        value_base64=base64.b64encode(b"my secret code").decode(),
    )


async def lines_for(*reasons: str) -> str:
    bus = MemoryBus()
    for reason in reasons:
        await bus.publish(a_letter(reason))
    return "\n".join([line async for line in dead_letter_lines(bus)])


async def test_a_letter_tells_its_record_task_trace_and_reason() -> None:
    told = await lines_for("redelivered 3 times")

    for fact in ("2023-11-14 22:13:20", "tasks.submitted[3]@17", "t1", TRACE, "redelivered 3"):
        assert fact in told
    assert told.endswith("1 dead letters")


async def test_what_a_client_wrote_is_not_shown() -> None:
    told = await lines_for(
        "1 validation error for TaskSubmitted\nmodel\n  Input should be a valid string "
        "[type=string_type, input_value={'prompt': 'my secret]\ncode'}, input_type=dict]",
        "x" * 10_000,
    )

    assert "secret" not in told
    assert "Input should be a valid string" in told
    assert max(map(len, told.splitlines())) < 320


async def test_no_letters_are_good_news() -> None:
    assert await lines_for() == "no dead letters"
