from __future__ import annotations

from pathlib import Path

import pytest

from common.recipe.recipe import load_recipe, shipped_recipes
from server.events.event_log import EventLog
from server.phases.phase_list import phases_of
from server.run.run_folder import Consortium, EnrolledSite, RunFolder

PHASES = {
    "aslani2020": ["statistics", "baseline", "training"],
    "consortium": ["statistics", "baseline", "training", "threshold"],
    "default": ["statistics", "baseline", "training", "threshold"],
    "fenneteau2021": ["statistics", "baseline", "training"],
    "galassi2019": ["statistics", "baseline", "training-first", "mining", "training-second"],
    "hussein2023": ["statistics", "baseline", "training", "threshold"],
    "kamraoui2021": ["statistics", "baseline", "lesion-metric", "training"],
}
"""Recipe -> its run's phases in order, after what the papers do."""


def names_of(recipe: str, folder: Path, *overrides: str, n_sites: int = 1) -> list[str]:
    sites = tuple(EnrolledSite(name=f"site-{i}", public_key=f"k{i}") for i in range(n_sites))
    phases = phases_of(
        load_recipe(recipe, overrides=overrides),
        Consortium(run="r", sites=sites),
        EventLog(folder / "events.jsonl"),
        folder=RunFolder(folder),
    )
    return [phase.name for phase in phases]


def test_every_shipped_recipe_has_its_phases_written_down_here() -> None:
    assert set(shipped_recipes()) == set(PHASES)


@pytest.mark.parametrize("recipe", PHASES)
def test_a_run_goes_through_the_phases_of_its_recipe_in_order(recipe: str, tmp_path: Path) -> None:
    assert names_of(recipe, tmp_path) == PHASES[recipe]


def test_without_the_lesion_wise_loss_no_network_learns_it(tmp_path: Path) -> None:
    without = [name for name in PHASES["kamraoui2021"] if name != "lesion-metric"]
    assert names_of("kamraoui2021", tmp_path, "loss.lesion_wise=none") == without


def test_a_share_for_a_test_adds_the_test_after_the_threshold_is_chosen(tmp_path: Path) -> None:
    shared = names_of("hussein2023", tmp_path, "federation.site_test_share=0.2")
    assert shared == [*PHASES["hussein2023"], "site-test"]


def test_a_cascade_can_have_its_threshold_chosen_and_be_tested_at_the_sites(
    tmp_path: Path,
) -> None:
    overrides = ("inference.threshold_from=sites", "federation.site_test_share=0.2")
    expected = [*PHASES["galassi2019"], "threshold", "site-test"]
    assert names_of("galassi2019", tmp_path, *overrides) == expected


def test_no_phase_has_the_name_of_another(tmp_path: Path) -> None:
    """A run that was cut off is found again by the name of its phase."""
    for recipe in PHASES:
        names = names_of(recipe, tmp_path)
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("recipe", PHASES)
def test_two_sites_or_more_are_probed_once_everything_is_chosen(
    recipe: str, tmp_path: Path
) -> None:
    assert names_of(recipe, tmp_path, n_sites=2) == [*PHASES[recipe], "site-probe"]
