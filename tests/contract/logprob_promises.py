"""What an engine that has a model promises about the log-probabilities of its tokens."""

from dataclasses import replace

import pytest

from services.worker.engine import Engine, Job, Piece
from shared.messages.logprobs import TokenLogprob
from tests.contract.engine_promises import a_job, pieces_of, text_of


def weighed(job: Job, likeliest: int = 0) -> Job:
    return replace(job, body=job.body.model_copy(update={"logprobs": likeliest}))


def told_by(pieces: list[Piece]) -> list[TokenLogprob]:
    return [each for piece in pieces for each in piece.logprobs]


class LogprobPromises:
    @pytest.mark.parametrize("is_chat", [False, True])
    async def test_each_token_of_an_answer_has_its_log_probability(
        self, engine: Engine, is_chat: bool
    ) -> None:
        pieces = await pieces_of(engine, weighed(a_job(max_tokens=40, is_chat=is_chat)))

        told = told_by(pieces)
        assert len(told) == sum(piece.tokens for piece in pieces) == 40
        assert "".join(each.token for each in told) == text_of(pieces)
        assert all(each.logprob <= 0 for each in told)
        assert any(each.logprob < 0 for each in told)

    @pytest.mark.parametrize("is_chat", [False, True])
    async def test_the_likeliest_in_its_place_come_with_a_token_best_first(
        self, engine: Engine, is_chat: bool
    ) -> None:
        pieces = await pieces_of(engine, weighed(a_job(max_tokens=20, is_chat=is_chat), 3))

        for each in told_by(pieces):
            falling = [other.logprob for other in each.top]
            assert falling == sorted(falling, reverse=True)
            assert len(falling) == 3
            # At temperature 0 the likeliest is the one that is written.
            assert falling[0] == each.logprob

    async def test_what_is_known_of_the_tokens_begins_with_the_text_though_a_stop_cut_it(
        self, engine: Engine
    ) -> None:
        whole = text_of(await pieces_of(engine, a_job(max_tokens=30)))

        pieces = await pieces_of(engine, weighed(a_job(max_tokens=30, stop=(whole[20:26],))))

        tokens = "".join(each.token for each in told_by(pieces))
        assert text_of(pieces)
        assert tokens.startswith(text_of(pieces))

    async def test_asking_changes_nothing_in_the_answer_and_not_asking_tells_nothing(
        self, engine: Engine
    ) -> None:
        unasked = await pieces_of(engine, a_job(max_tokens=30))
        asked = await pieces_of(engine, weighed(a_job(max_tokens=30)))

        assert text_of(asked) == text_of(unasked)
        assert told_by(unasked) == []
