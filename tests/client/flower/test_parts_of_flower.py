from __future__ import annotations

import types

import pytest
from flwr.supernode.runtime import run_clientapp

from client.flower.clientapp import PARTS, error_without_text, inspect_only, own_app_loader
from common import programs
from common.errors import FlowerError
from common.programs import replace_parts


def test_our_parts_stand_in_flowers_module_under_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in PARTS:
        monkeypatch.setattr(run_clientapp, name, getattr(run_clientapp, name))
    replace_parts(run_clientapp, PARTS)
    names = ("install_from_fab", "get_load_client_app_fn", "Error")
    parts = [vars(run_clientapp)[name] for name in names]
    assert parts == [inspect_only, own_app_loader, error_without_text]


@pytest.mark.parametrize("missing", PARTS)
def test_nothing_begins_where_flower_names_a_part_otherwise(missing: str) -> None:
    module = types.ModuleType("flwr.other")
    for name in PARTS:
        if name != missing:
            setattr(module, name, None)
    with pytest.raises(FlowerError, match=f"flwr.other has no {missing}: this is another"):
        replace_parts(module, PARTS)


def test_nothing_is_replaced_in_another_version_of_flower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs, "FLOWER", "1.4")
    module = types.ModuleType("flwr.other")
    module.__dict__["Error"] = None
    with pytest.raises(FlowerError, match=r"flwr 1\.41\.0 is installed.* made for 1\.4\. Inst"):
        replace_parts(module, {"Error": error_without_text})
    assert module.__dict__["Error"] is None
