"""Whoever decodes finds its own cache, however others come and go."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from services.worker.engines.embedded_batch import Member, PlacedBatch, Step

PLACES = 3


def a_member(order: int, *, prompt_tokens: int = 4, priority: int = 0) -> Member:
    return Member(
        prompt_tokens=prompt_tokens, rank=(priority, order), tokens=[order] * prompt_tokens
    )


def a_batch(*members: Member, chunk_tokens: int = 10, far_tokens: int = 1_000_000) -> PlacedBatch:
    batch = PlacedBatch(places=PLACES, chunk_tokens=chunk_tokens, far_tokens=far_tokens)
    for member in members:
        batch.add(member)
    return batch


def done(batch: PlacedBatch) -> Step:
    """The next step, which is there, with one token for each that it emits."""
    step = batch.next_step()
    assert step is not None
    emitting = step.emitting()
    batch.done(step)
    for member in emitting:
        member.tokens.append(0)
    return step


def test_an_empty_batch_has_nothing_to_do() -> None:
    assert a_batch().next_step() is None


def test_a_prompt_is_read_in_chunks_and_emits_with_the_last() -> None:
    member = a_member(1, prompt_tokens=25)
    batch = a_batch(member)

    steps = [done(batch) for _ in range(4)]

    assert [step.chunk_tokens for step in steps] == [10, 10, 5, 0]
    assert [step.decoding for step in steps] == [(), (), (), (member,)]
    assert len(member.tokens) == 25 + 2


def test_chunks_shrink_as_the_context_grows_so_that_no_step_takes_much_longer() -> None:
    member = a_member(1, prompt_tokens=400)
    batch = a_batch(member, chunk_tokens=100, far_tokens=100)

    chunks = []
    while member.unread():
        costs = 1 + member.cached / 100
        chunks.append((done(batch).chunk_tokens, costs))

    assert [chunk for chunk, _ in chunks[:3]] == [100, 50, 40]
    assert sum(chunk for chunk, _ in chunks) == 400
    assert max(chunk * costs for chunk, costs in chunks) < 105


def test_far_into_a_prompt_at_least_one_token_is_read() -> None:
    member = a_member(1, prompt_tokens=60)
    batch = a_batch(member, chunk_tokens=10, far_tokens=1)

    while member.unread():
        assert done(batch).chunk_tokens >= 1


def test_the_most_urgent_is_read_first_and_equals_in_their_order() -> None:
    members = [a_member(1, priority=2), a_member(2, priority=1), a_member(3, priority=1)]
    batch = a_batch(*members)

    read = [done(batch).prefilling for _ in members]

    assert read == [members[1], members[2], members[0]]


def test_nobody_is_read_before_there_is_a_place_to_decode() -> None:
    members = [a_member(order) for order in range(PLACES + 1)]
    batch = a_batch(*members)
    for _ in range(PLACES):
        done(batch)

    assert done(batch).prefilling is None
    batch.remove(members[0])
    assert done(batch).prefilling is members[PLACES]


def test_a_removed_member_is_nowhere_and_removing_it_again_changes_nothing() -> None:
    decoding, reading, waiting = (a_member(order, prompt_tokens=15) for order in range(3))
    batch = a_batch(decoding, reading, waiting)
    for _ in range(3):
        done(batch)

    for member in (waiting, decoding, reading, reading):
        batch.remove(member)

    assert batch.members() == ()
    assert batch.next_step() is None


class Cache:
    """Whose tokens lie where, as a model would find them."""

    def __init__(self) -> None:
        self._owners: dict[int, Member] = {}

    def compute(self, step: Step) -> Iterator[tuple[Member, Member | None]]:
        """Each decoding member, and whose cache it reads."""
        for move in step.moves:
            self._owners[move.target] = self._owners[move.source]
        if step.prefilling is not None:
            self._owners[PLACES] = step.prefilling
        for place, member in enumerate(step.decoding):
            yield member, self._owners.get(place)


@given(
    acts=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 30)),
            st.tuples(st.just("remove"), st.integers(0, 9)),
            st.tuples(st.just("leave midway"), st.integers(0, 9)),
            st.tuples(st.just("step"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_every_decoding_member_reads_its_own_cache(acts: list[tuple[str, int]]) -> None:
    batch, cache = a_batch(), Cache()
    for order, (act, number) in enumerate(acts):
        members = batch.members()
        if act == "add":
            batch.add(a_member(order, prompt_tokens=number))
        elif act == "remove" and members:
            batch.remove(members[number % len(members)])
        elif (step := batch.next_step()) is not None:
            for member, found in cache.compute(step):
                assert found is member
            if act == "leave midway" and members:
                batch.remove(members[number % len(members)])
            batch.done(step)
