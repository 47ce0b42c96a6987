from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.site import request_order
from client.site.request_order import RequestOrder
from common.errors import ConfigError, WireError
from common.wire.seal import Seal

FIRST: dict[str, Any] = {
    "run": "run",
    "site": "lyon",
    "phase": "training",
    "round_index": 1,
    "exchange_id": "a" * 32,
    "sitting": 1,
    "number": 1,
    "header_sha256": "0" * 64,
    "payload_sha256": "0" * 64,
}


def begin(folder: Path, **changed: object) -> str:
    """`begun`, or the code of the refusal."""
    try:
        RequestOrder(folder).begin(Seal.from_table({**FIRST, **changed}, where="test"))
    except WireError as error:
        return error.code
    return "begun"


def test_a_request_is_answered_once_also_by_a_later_process(tmp_path: Path) -> None:
    assert begin(tmp_path) == "begun"
    assert begin(tmp_path) == "replayed"
    assert begin(tmp_path, number=2) == "begun"


def test_a_request_that_was_held_back_is_refused_once_a_later_one_was_answered(
    tmp_path: Path,
) -> None:
    assert begin(tmp_path, number=3, round_index=3) == "begun"
    assert begin(tmp_path, number=2, round_index=2) == "replayed"


def test_within_a_sitting_a_phase_never_goes_back(tmp_path: Path) -> None:
    """A round is asked again after a lost answer; scoring comes between two rounds of training."""
    asked = [("training", 1), ("training", 1), ("validation", 1), ("training", 2), ("training", 1)]
    codes = [
        begin(tmp_path, number=number, phase=phase, round_index=round_index)
        for number, (phase, round_index) in enumerate(asked, start=1)
    ]
    assert codes == ["begun", "begun", "begun", "begun", "out-of-order"]


def test_a_coordinator_that_resumes_asks_again_for_the_round_that_it_lost(tmp_path: Path) -> None:
    """Killed in round 5 with the checkpoint of round 4; or it was damaged, and 3 is the last."""
    assert begin(tmp_path, number=9, round_index=5) == "begun"
    assert begin(tmp_path, sitting=2, round_index=5) == "begun"
    assert begin(tmp_path, sitting=3, round_index=4) == "begun"


def test_the_requests_of_an_earlier_sitting_are_void(tmp_path: Path) -> None:
    assert begin(tmp_path, sitting=2) == "begun"
    assert begin(tmp_path, sitting=1, number=100, round_index=100) == "replayed"


def test_a_request_that_is_refused_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    assert begin(tmp_path, round_index=2) == "begun"
    assert begin(tmp_path, number=50, round_index=1) == "out-of-order"
    assert begin(tmp_path, number=2, round_index=2) == "begun"


def test_another_run_has_a_ledger_of_its_own_and_its_name_chooses_no_path(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "answered"
    assert begin(folder, run="../../etc") == "begun"
    assert begin(folder, run="other") == "begun"
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {folder}


def test_a_run_asks_so_often_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_order, "LIMIT", 2)
    codes = [begin(tmp_path, sitting=sitting) for sitting in (1, 2, 3)]
    assert codes == ["begun", "begun", "too-many-requests"]


def test_the_names_of_phases_are_not_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_order, "MOST_PHASES", 2)
    codes = [begin(tmp_path, number=n, phase="p" * n) for n in (1, 2, 3)]
    assert codes == ["begun", "begun", "too-many-requests"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"sitting": "x"}', b"\xff"])
def test_a_ledger_that_cannot_be_read_lets_nothing_in(tmp_path: Path, content: bytes) -> None:
    assert begin(tmp_path) == "begun"
    [ledger] = tmp_path.glob("*.json")
    ledger.write_bytes(content)
    with pytest.raises(ConfigError, match="the ledger of a run cannot be read"):
        begin(tmp_path, number=2)


def test_only_the_site_itself_looks_into_the_ledgers(tmp_path: Path) -> None:
    begin(tmp_path / "answered")
    assert stat.S_IMODE((tmp_path / "answered").stat().st_mode) == 0o700


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)), max_size=12))
def test_whatever_comes_nothing_is_begun_twice_or_after_a_later_one(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    begun = [
        (sitting, number)
        for sitting, number, round_index in asked
        if begin(folder, sitting=sitting, number=number, round_index=round_index) == "begun"
    ]
    assert begun == sorted(set(begun))


def test_a_ledger_that_cannot_be_opened_is_told_as_unreadable(tmp_path: Path) -> None:
    begin(tmp_path)
    (ledger,) = tmp_path.glob("*.json")
    ledger.unlink()
    ledger.mkdir()

    with pytest.raises(ConfigError, match="ledger of a run cannot be read"):
        begin(tmp_path)
