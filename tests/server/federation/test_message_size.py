from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.recipe.recipe import load_recipe
from server.events.history import read_history
from server.execute_run import execute_run
from server.federation.message_size import require_fits
from server.inline import InlineGrid, inline_key
from server.run.run_folder import Consortium, EnrolledSite, RunFolder


def test_an_update_needs_a_fifth_more_than_its_own_size() -> None:
    sizes = ("network.widths=[16, 32, 48, 64, 64]", "sampling.patch_shape=[64, 64, 128]")
    recipe = load_recipe("default", overrides=sizes)
    # 1.2 million parameters of 4 bytes are 4.5 MB, and a fifth more than that is 5.4
    with pytest.raises(ConfigError, match=r"updates of 4\.\d MB, and the proxy lets .*_mb = 5 thr"):
        require_fits(recipe, largest_message_mb=5)
    require_fits(recipe, largest_message_mb=6)


def test_a_run_whose_updates_the_proxy_would_refuse_ends_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path / "run")
    sites = (EnrolledSite(name="lyon", public_key=inline_key("lyon")),)
    folder.create(load_recipe("default"), Consortium(run="r", sites=sites, largest_message_mb=1))
    with pytest.raises(ConfigError, match="largest_message_mb = 1"):
        execute_run(InlineGrid({"lyon": tmp_path / "site.toml"}), folder, engine="inline")
    ended = read_history(folder.events_file).finished
    assert ended is not None
    assert "Raise it in federation.toml" in folder.events_file.read_text("utf-8")
    assert "round-started" not in folder.events_file.read_text("utf-8")
