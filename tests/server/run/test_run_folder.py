from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.files import write_whole
from common.recipe.recipe import load_recipe
from server.flower.run_control import all_runs
from server.flower.submission import lay_out_run
from server.run import run_folder
from tests.server.federation.made_federation import made_federation


class Cut(BaseException):
    """As after kill -9: nothing in the product catches it."""


@pytest.mark.parametrize("n_written", range(4))
def test_a_run_cut_off_while_it_is_laid_out_is_no_run_and_its_name_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_written: int
) -> None:
    folder = made_federation(tmp_path / "f")
    left = [n_written]

    def write_some(path: Path, content: bytes) -> None:
        if left[0] == 0:
            raise Cut
        left[0] -= 1
        write_whole(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_whole", write_some)
        with pytest.raises(Cut):
            lay_out_run(folder, recipe=load_recipe("default"), name="one")
    assert all_runs(folder) == []
    with pytest.raises(ConfigError, match=r"cut off: it has no recipe\.toml.*Remove the folder"):
        lay_out_run(folder, recipe=load_recipe("default"), name="one")


def test_a_run_that_is_laid_out_reads_back_what_it_was_given(tmp_path: Path) -> None:
    folder = made_federation(tmp_path / "f")
    recipe = load_recipe("default")
    run = lay_out_run(folder, recipe=recipe, name="one")
    assert run.recipe() == recipe
    assert run.consortium().members_file == folder.members_file.resolve()
    assert [found.path for found in all_runs(folder)] == [run.path]


def test_each_sitting_has_a_larger_number_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock set back by a day, and a folder of which an older copy was restored."""
    folder = run_folder.RunFolder(tmp_path)
    clock_ms = [2_000_000_000_000]
    monkeypatch.setattr("time.time_ns", lambda: clock_ms[0] * 1_000_000)
    assert folder.begin_sitting() == 2_000_000_000_000
    clock_ms[0] -= 86_400_000
    assert folder.begin_sitting() == 2_000_000_000_001
    folder.sitting_file.unlink()
    clock_ms[0] += 86_400_000 + 5
    assert folder.begin_sitting() == 2_000_000_000_005


def test_a_sitting_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    folder = run_folder.RunFolder(tmp_path)
    folder.sitting_file.write_text("soon", "utf-8")
    with pytest.raises(ConfigError, match="sitting: want one whole number"):
        folder.begin_sitting()
