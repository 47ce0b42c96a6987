from __future__ import annotations

from pathlib import Path

import pytest

from client.site.settings import Policy, read_site
from common.errors import ConfigError, PolicyRefused


def test_relative_folders_start_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('name = "lyon"\ndata = "bids"\nwork = "/var/work"\n', encoding="utf-8")
    site = read_site(path)
    assert site.data == tmp_path / "bids"
    assert site.work == Path("/var/work")
    assert site.policy.min_subjects == 5


def test_a_misspelt_policy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        'name = "lyon"\ndata = "d"\nwork = "w"\n[policy]\nmin_template_subject = 3\n', "utf-8"
    )
    with pytest.raises(ConfigError, match="did you mean 'min_subjects'"):
        read_site(path)


@pytest.mark.parametrize("n_subjects", [0, 5, 6])
def test_sums_over_nobody_or_over_enough_may_leave(n_subjects: int) -> None:
    Policy().require_enough_subjects(n_subjects)


@pytest.mark.parametrize("n_subjects", [1, 4])
def test_sums_over_few_may_not_leave(n_subjects: int) -> None:
    with pytest.raises(PolicyRefused, match=f"from {n_subjects} subjects.* wants at least 5"):
        Policy().require_enough_subjects(n_subjects)
