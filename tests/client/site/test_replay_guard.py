from __future__ import annotations

from pathlib import Path

import pytest

from client.site import replay_guard
from client.site.replay_guard import ReplayGuard
from common.errors import WireError

FIRST, SECOND = "a" * 32, "b" * 32


def test_a_request_that_comes_again_is_refused_also_by_the_next_process(tmp_path: Path) -> None:
    ReplayGuard(tmp_path / "answered").begin("run", FIRST)
    later = ReplayGuard(tmp_path / "answered")
    later.begin("run", SECOND)
    with pytest.raises(WireError, match=f"request {FIRST} has come before") as refused:
        later.begin("run", FIRST)
    assert refused.value.code == "replayed"


def test_each_run_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    ledger = ReplayGuard(tmp_path)
    ledger.begin("run", FIRST)
    ledger.begin("../run", FIRST)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_long_name_of_a_run_is_cut_where_it_is_quoted(tmp_path: Path) -> None:
    ledger = ReplayGuard(tmp_path)
    ledger.begin("r" * 1_000_000, FIRST)
    with pytest.raises(WireError, match=r"^run 'r{199}: request a{32} has come before"):
        ledger.begin("r" * 1_000_000, FIRST)


def test_a_run_asks_only_so_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_guard, "LIMIT", 2)
    ledger = ReplayGuard(tmp_path)
    ledger.begin("run", FIRST)
    ledger.begin("run", SECOND)
    with pytest.raises(WireError, match="has answered 2 requests"):
        ledger.begin("run", "c" * 32)
    [file] = tmp_path.iterdir()
    assert file.stat().st_size == 2 * 33


def test_a_line_cut_short_by_a_crash_spoils_none_of_the_others(tmp_path: Path) -> None:
    ledger = ReplayGuard(tmp_path)
    ledger.begin("run", FIRST)
    [file] = tmp_path.iterdir()
    file.write_text(f"{FIRST}\nbbbb", "ascii")
    ledger.begin("run", SECOND)
    for seen in (FIRST, SECOND):
        with pytest.raises(WireError, match="has come before"):
            ledger.begin("run", seen)
