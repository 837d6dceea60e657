"""What all tests share: hypothesis without chance and without a stopwatch.

The suite must give the same answer twice, so examples are derived from the test itself. For a hunt, run
`pytest --hypothesis-profile=hunt`: random examples, ten times as many.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("default", derandomize=True, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.register_profile(
    "hunt", parent=settings.get_profile("default"), derandomize=False, max_examples=1000, print_blob=True
)
settings.load_profile("default")
