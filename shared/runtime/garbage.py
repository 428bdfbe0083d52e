"""Requests leave few cycles; looking for them as often as by default costs 5 % of the CPU."""

import gc


def collect_seldom() -> None:
    """What was imported lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
