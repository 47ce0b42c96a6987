from __future__ import annotations

import tracemalloc
import typing

import numpy as np
import pytest

from common.recipe.federation import Federation
from common.wire.field_types import Arrays
from server.aggregation.registry import AGGREGATIONS


def test_every_aggregation_a_recipe_can_name_is_there_and_no_other() -> None:
    names = typing.get_args(typing.get_type_hints(Federation)["aggregation"])
    assert names
    assert set(AGGREGATIONS) == set(names)


def test_each_gives_what_its_name_says() -> None:
    """Changes -6, 1 and 2 of sites that weigh 1, 1 and 4: (-6 + 1 + 8) / 6 = 0.5, middle 1."""
    found = {}
    like: Arrays = {"w": np.zeros(1, np.float32)}
    for name, build in AGGREGATIONS.items():
        aggregate = build(like)
        for site, change, weight in (("a", -6, 1.0), ("b", 1, 1.0), ("c", 2, 4.0)):
            aggregate.accumulate(site, {"w": np.array([change], np.float32)}, weight)
        found[name] = float(aggregate.result()["w"][0])
    assert found == {"weighted-mean": 0.5, "median": 1.0}


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_each_needs_the_memory_it_says(name: str) -> None:
    n_values = 250_000
    like: Arrays = {"w": np.zeros(n_values, np.float32)}
    tracemalloc.start()
    aggregate = AGGREGATIONS[name](like)
    for number in range(5):
        aggregate.accumulate(f"site-{number}", {"w": np.full(n_values, -2.5, np.float32)}, 1.0)
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes == pytest.approx(aggregate.copies_held(5) * 4 * n_values, rel=0.02)
