"""What went wrong is told without the wrapping of task groups."""

from shared.runtime.run import root_causes


def test_groups_of_groups_are_unpacked() -> None:
    first, second = ValueError("one"), KeyError("two")
    error = ExceptionGroup("outer", [ExceptionGroup("inner", [first]), second])

    assert tuple(root_causes(error)) == (first, second)
