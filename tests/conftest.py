"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

# the same examples at every run, and no limit on time: the machines that test are shared
settings.register_profile("lesionfed", deadline=None, derandomize=True)
settings.load_profile("lesionfed")
