"""What the scaling benchmark counts."""

from __future__ import annotations

import pytest

from benchmarks.scaling import costs_of, synthetic


def test_bytes_grow_with_the_sites_and_memory_does_not() -> None:
    few, many = costs_of(1, (3, 12))
    assert (few.n_sites, many.n_sites) == (3, 12)
    assert few.sent_mb == pytest.approx(3.0, abs=0.1)
    assert many.sent_mb == pytest.approx(12.0, abs=0.2)
    assert many.received_mb == pytest.approx(12.0, abs=0.2)
    assert many.peak_mib - few.peak_mib <= 4


def test_synthetic_parameters_weigh_what_they_should() -> None:
    import numpy as np

    arrays = synthetic(2, np.random.default_rng(0))
    assert sum(array.nbytes for array in arrays.values()) == 2_000_000
