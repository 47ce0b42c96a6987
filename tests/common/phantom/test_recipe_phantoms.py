from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.phantom.recipe_phantoms import kind_of, make_phantoms
from common.recipe.recipe import Recipe, load_recipe


def recipe(*overrides: str) -> Recipe:
    return load_recipe("default", overrides=overrides)


CORD = (
    'preprocessing.steps=["cord", "resample"]',
    'task.modalities=["T2w"]',
    "preprocessing.spacing_mm=0.5",
)
TWO_DATES = ("task.target=new-lesions", "preprocessing.space=halfway")


def with_raters(n: int) -> Recipe:
    """A recipe with raters, whatever network may learn from them."""
    plain = recipe(*TWO_DATES)
    return plain.model_copy(update={"task": plain.task.model_copy(update={"raters": n})})


def test_target_and_steps_choose_the_phantoms() -> None:
    assert kind_of(recipe()) == "brain"
    assert kind_of(recipe(*TWO_DATES)) == "two dates"
    assert kind_of(recipe(*CORD)) == "cord"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("default", "brain"),
        ("aslani2020", "brain"),
        ("galassi2019", "brain"),
        ("kamraoui2021", "two dates"),
        ("fenneteau2021", "two dates"),
        ("hussein2023", "cord"),
    ],
)
def test_every_recipe_that_comes_along_has_phantoms(name: str, kind: str) -> None:
    assert kind_of(load_recipe(name)) == kind


def test_recipe_without_fitting_phantoms_is_refused_with_the_reason() -> None:
    with pytest.raises(
        ConfigError, match=r"names T2w, and phantoms of this kind \(brain\) have FLAIR"
    ):
        kind_of(recipe('task.modalities=["FLAIR", "T2w"]'))
    with pytest.raises(ConfigError, match="No phantom is a spinal cord at two dates"):
        kind_of(recipe(*CORD, *TWO_DATES))


def test_brain_of_one_date_has_no_raters() -> None:
    plain = recipe()
    rated = plain.model_copy(update={"task": plain.task.model_copy(update={"raters": 3})})
    with pytest.raises(ConfigError, match=r"task\.raters is 3, and only phantoms with"):
        kind_of(rated)


@pytest.mark.parametrize(
    ("overrides", "options", "refusal"),
    [
        pytest.param(CORD, {"anatomies": Path()}, "wants spinal cords", id="brains for a cord"),
        pytest.param(
            TWO_DATES, {"lesion_masks": Path()}, "whose lesions are drawn", id="real masks twice"
        ),
    ],
)
def test_sources_that_do_not_fit_the_recipe_are_refused(
    tmp_path: Path, overrides: tuple[str, ...], options: dict[str, Path], refusal: str
) -> None:
    with pytest.raises(ConfigError, match=refusal):
        make_phantoms(
            tmp_path / "out",
            recipe=recipe(*overrides),
            n_sites=1,
            n_subjects=1,
            seed=0,
            anatomies=options.get("anatomies"),
            lesion_masks=options.get("lesion_masks"),
        )
    assert not (tmp_path / "out").exists()


def test_two_dates_have_as_many_raters_as_the_recipe_learns_from(tmp_path: Path) -> None:
    (site,) = make_phantoms(
        tmp_path / "out", recipe=with_raters(3), n_sites=1, n_subjects=1, seed=0, spacing_mm=4.0
    )
    raters = sorted(p.name.split("desc-")[1] for p in site.rglob("*Rater*_mask.nii.gz"))
    assert raters == [f"newlesionRater{n}_mask.nii.gz" for n in (1, 2, 3)]


def test_cord_recipe_gets_cords(tmp_path: Path) -> None:
    (site,) = make_phantoms(
        tmp_path / "out", recipe=recipe(*CORD), n_sites=1, n_subjects=1, seed=0, spacing_mm=2.0
    )
    assert len(list(site.rglob("*_T2w.nii.gz"))) == 1
    assert not list(site.rglob("*_FLAIR.nii.gz"))
