from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from common.errors import ConfigError
from common.metrics.presets import ISBI2015, MSSEG2016, PRESETS, preset


def test_msseg2016_is_what_the_challenge_tool_does() -> None:
    assert preset("msseg2016").as_dict() == {
        "name": "msseg2016",
        "connectivity": 6,
        "min_volume_mm3": 3.0,
        "matching": "msseg",
        "alpha": 0.1,
        "beta": 0.7,
        "gamma": 0.65,
    }


def test_every_preset_is_listed_under_its_own_name_and_fits_in_json() -> None:
    for name, definition in PRESETS.items():
        assert definition.name == name
        assert json.loads(json.dumps(definition.as_dict())) == definition.as_dict()


def test_a_definition_says_preset_connectivity_and_rule_in_one_line() -> None:
    assert str(MSSEG2016) == (
        "msseg2016: 6-connectivity, lesions above 3 mm3, "
        "msseg matching (alpha 0.1, beta 0.7, gamma 0.65)"
    )


def test_by_any_overlap_a_definition_has_no_shares_to_print() -> None:
    assert str(ISBI2015) == "isbi2015: 18-connectivity, lesions of any size, any_overlap matching"
    assert ISBI2015.as_dict() == {
        "name": "isbi2015",
        "connectivity": 18,
        "min_volume_mm3": 0.0,
        "matching": "any_overlap",
        "alpha": None,
        "beta": None,
        "gamma": None,
    }
    large = dataclasses.replace(ISBI2015, name="large", min_volume_mm3=2.5)
    assert str(large) == ("large: 18-connectivity, lesions above 2.5 mm3, any_overlap matching")


def test_the_presets_are_the_published_ones() -> None:
    assert list(PRESETS) == ["msseg2016", "msseg2", "isbi2015", "kamraoui", "hussein"]
    assert dataclasses.replace(preset("msseg2"), name="msseg2016") == MSSEG2016
    for name in ("kamraoui", "hussein"):
        assert preset(name).matching == "any_overlap"


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"preset: want one of msseg2016.*got 'msseg2015'"):
        preset("msseg2015")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"connectivity": 8}, "connectivity: want 6, 18 or 26, got 8"),
        ({"min_volume_mm3": -1.0}, "min_volume_mm3: want 0 or more, got -1.0"),
        ({"min_volume_mm3": float("nan")}, "min_volume_mm3: want 0 or more, got nan"),
        ({"alpha": 10.0}, "alpha: want a share from 0 to 1, got 10.0"),
        ({"beta": float("nan")}, "beta: want a share from 0 to 1, got nan"),
        ({"matching": "best"}, "matching: want msseg or any_overlap, got 'best'"),
        ({"matching": "any_overlap"}, "alpha: only matching msseg has it, got 0.1"),
        ({"beta": None}, "beta: want a share from 0 to 1, got None"),
        ({"gamma": -0.1}, "gamma: want a share from 0 to 1, got -0.1"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(MSSEG2016, **change)
