"""Hypothesis judges what holds, not how long it took: a busy machine breaks no promise."""

from hypothesis import HealthCheck, settings

settings.register_profile("cato", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cato")
