"""What is owed: the usual promise of the kind, except where the client named its own."""

from shared.domain.task import Promise


def owed(usual: Promise, own: Promise | None) -> Promise:
    """The client's word replaces a limit of the same dimension, and adds one that was not there."""
    if own is None:
        return usual
    return Promise(
        ttft_s=usual.ttft_s if own.ttft_s is None else own.ttft_s,
        tpot_s=usual.tpot_s if own.tpot_s is None else own.tpot_s,
        e2e_s=usual.e2e_s if own.e2e_s is None else own.e2e_s,
    )
