from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from client.phases.site_cases import labelled_cases, own_cases
from client.phases.threshold import sum_thresholds
from client.site.settings import Policy, Site, read_site
from common.imaging.standardization.template import Template
from common.imaging.volume import Volume, read_volume, write_volume
from common.learning.model import new_network
from common.learning.networks.parameters import parameters_of
from common.learning.segmentation import sweep_case
from common.metrics.threshold_choice import sum_cases
from common.recipe.recipe import Recipe, load_recipe
from common.wire.field_types import ScoredPart
from common.wire.messages import Assignment, SummedSubjects, ThresholdReply, ThresholdRequest
from tests.drawn import draw_on_thick_slices
from tests.toy_sites import write_site

TEMPLATE: Template = {"FLAIR": (0.5, 1.0, 1.2), "T1w": (0.5, 1.0, 1.3)}
THRESHOLDS = (0.3, 0.5, 0.6)
NOTHING = ThresholdReply(
    dice_sums=(0, 0, 0),
    lesion_f1_sums=(0, 0, 0),
    n_dice=0,
    n_lesion_f1=0,
    n_cases=0,
    n_on_scanner_grid=0,
    subjects=SummedSubjects(n_subjects=0),
)


def tiny(share: float, *overrides: str) -> Recipe:
    return load_recipe(
        "default",
        overrides=[
            "network.widths=[4, 4, 8, 8]",
            "network.first_stride=1",
            "sampling.patch_shape=[32, 32, 32]",
            "compute.threads=1",
            f"federation.site_validation_share={share}",
            *overrides,
        ],
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A hospital of four subjects that lets any number be summed."""
    folder = tmp_path_factory.mktemp("hospital")
    return read_site(write_site(folder, name="lyon", seed=0, n_subjects=4))


def request(recipe: Recipe, part: ScoredPart = "threshold") -> ThresholdRequest:
    return ThresholdRequest(
        assignment=Assignment(
            run="r",
            phase="threshold",
            round_index=1,
            recipe=recipe.canonical_json(),
            code_digest="d",
            site="lyon",
            site_index=0,
            n_sites=1,
            exchange_id="0" * 32,
        ),
        template=TEMPLATE,
        parameters=parameters_of(new_network(recipe)),
        part=part,
        thresholds=THRESHOLDS,
    )


def test_the_sums_are_those_of_the_kept_cases_alone(site: Site) -> None:
    recipe = tiny(share=0.5)
    reply = sum_thresholds(request(recipe), recipe, site)
    kept = own_cases(site, recipe, TEMPLATE, run="run").validation
    assert len(kept) == 2  # half of four
    network = new_network(recipe)
    sums = sum_cases(
        [sweep_case(network, c, recipe, thresholds=THRESHOLDS) for c in kept], THRESHOLDS
    )
    assert (reply.dice_sums, reply.lesion_f1_sums) == (sums.dice, sums.lesion_f1)
    assert (reply.n_dice, reply.n_lesion_f1, reply.n_cases) == (2, 2, 2)
    dice = np.array(reply.dice_sums) / 2e9
    assert ((dice >= 0) & (dice <= 1)).all()
    assert dice.any()


def test_for_each_smallest_volume_the_sums_are_those_of_that_volume_alone(site: Site) -> None:
    """The toys' voxels measure about 2.2 mm3: 8 mm3 are 4 voxels."""
    recipe = tiny(share=0.5)
    asked = dataclasses.replace(request(recipe), smallest_mm3=(0.0, 8.0))
    both = sum_thresholds(asked, recipe, site)
    assert len(both.dice_sums) == len(both.lesion_f1_sums) == 2 * len(THRESHOLDS)
    n = len(THRESHOLDS)
    for place, fewest in enumerate((1, 4)):
        own = tiny(0.5, f"inference.min_lesion_voxels={fewest}")
        alone = sum_thresholds(request(own), own, site)
        assert both.dice_sums[n * place : n * (place + 1)] == alone.dice_sums
        assert both.lesion_f1_sums[n * place : n * (place + 1)] == alone.lesion_f1_sums
        assert (both.n_dice, both.n_cases) == (alone.n_dice, alone.n_cases)


def test_no_volume_leaves_a_site_with_fewer_subjects_than_it_allows(site: Site) -> None:
    recipe = tiny(share=0.5)
    strict = site.model_copy(update={"policy": Policy(min_subjects=3)})
    asked = dataclasses.replace(request(recipe), smallest_mm3=(0.0, 8.0))
    reply = sum_thresholds(asked, recipe, strict)
    assert (reply.dice_sums, reply.lesion_f1_sums) == ((0,) * 6, (0,) * 6)
    assert (reply.n_cases, reply.subjects.n_subjects) == (0, 0)


def test_a_site_that_keeps_no_case_answers_with_none(site: Site) -> None:
    recipe = tiny(share=0.1)  # 0.4 of a subject, rounded to none
    assert sum_thresholds(request(recipe), recipe, site) == NOTHING


def test_fewer_kept_subjects_than_the_hospital_allows_to_be_summed_are_no_failure(
    site: Site,
) -> None:
    recipe = tiny(share=0.5)
    strict = site.model_copy(update={"policy": Policy(min_subjects=3)})
    assert sum_thresholds(request(recipe), recipe, strict) == NOTHING


def test_fewer_than_the_minimum_leave_where_the_hospital_counts_the_federations_subjects(
    site: Site,
) -> None:
    """Two subjects are kept. The reply says how many there are and what the total must have."""
    recipe = tiny(share=0.5)
    alone = sum_thresholds(request(recipe), recipe, site)
    pooled = site.model_copy(update={"policy": Policy(min_subjects=3, sums_count="federation")})
    reply = sum_thresholds(request(recipe), recipe, pooled)
    assert reply.subjects == SummedSubjects(n_subjects=2, min_total=3)
    assert reply == dataclasses.replace(alone, subjects=reply.subjects)
    enough = site.model_copy(update={"policy": Policy(min_subjects=2, sums_count="federation")})
    assert sum_thresholds(request(recipe), recipe, enough) == alone
    assert alone.subjects == SummedSubjects(n_subjects=2, min_total=0)


def test_what_is_shown_for_one_site_counts_that_sites_subjects_whatever_the_policy(
    site: Site,
) -> None:
    recipe = tiny(share=0.5)
    pooled = site.model_copy(update={"policy": Policy(min_subjects=5, sums_count="federation")})
    assert sum_thresholds(request(recipe, "all"), recipe, pooled) == NOTHING


@pytest.mark.parametrize(
    ("shares", "asked", "answering"),
    [
        pytest.param((0.25, 0.5, 0.0), "threshold", "threshold", id="a share of its own"),
        pytest.param((0.25, 0.0, 0.5), "threshold", "validation", id="no share: validation"),
        pytest.param((0.25, 0.0, 0.5), "test", "test", id="the test"),
        pytest.param((0.25, 0.5, 0.0), "validation", "validation", id="the validation"),
        pytest.param((0.5, 0.25, 0.0), "test", None, id="no test: nothing stands in for it"),
    ],
)
def test_the_part_that_is_asked_for_answers(
    site: Site,
    shares: tuple[float, float, float],
    asked: ScoredPart,
    answering: str | None,
) -> None:
    """Four subjects: a share of 0.25 is one of them, 0.5 are two, so the parts differ in size."""
    validation, threshold, test = shares
    recipe = tiny(
        validation,
        f"federation.site_threshold_share={threshold}",
        f"federation.site_test_share={test}",
    )
    reply = sum_thresholds(request(recipe, asked), recipe, site)
    if answering is None:
        assert reply == NOTHING
        return
    kept = getattr(own_cases(site, recipe, TEMPLATE, run="run"), answering)
    network = new_network(recipe)
    sums = sum_cases(
        [sweep_case(network, case, recipe, thresholds=THRESHOLDS) for case in kept], THRESHOLDS
    )
    n_kept = 4 * dict(zip(("validation", "threshold", "test"), shares, strict=True))[answering]
    assert (reply.dice_sums, reply.n_cases) == (sums.dice, n_kept)


def test_lesion_free_subjects_do_not_count_among_those_whose_figures_are_summed(
    tmp_path: Path,
) -> None:
    """Two subjects are kept, one has a lesion: both sums would be that one's figures."""
    hospital = read_site(write_site(tmp_path, name="lyon", seed=0, n_subjects=4))
    recipe = tiny(0.5, "sampling.lesion_share=0.8")
    first, _second = own_cases(hospital, recipe, TEMPLATE, run="run").validation
    [file] = (hospital.data / "derivatives" / "manual" / first.subject / "anat").glob("*mask.nii*")
    mask = read_volume(file)
    write_volume(Volume(np.zeros(mask.data.shape, np.uint8), mask.affine), file)
    strict = hospital.model_copy(update={"policy": Policy(min_subjects=2)})
    assert len(own_cases(strict, recipe, TEMPLATE, run="run").validation) == 2
    assert sum_thresholds(request(recipe), recipe, strict) == NOTHING
    free = hospital.model_copy(update={"policy": Policy(min_subjects=1)})
    reply = sum_thresholds(request(recipe), recipe, free)
    assert (reply.n_dice, reply.n_cases) == (1, 2)


def test_a_share_that_rounds_to_no_subject_is_not_made_up_for_by_validation(
    site: Site,
) -> None:
    recipe = tiny(0.5, "federation.site_threshold_share=0.1")  # 0.4 of a subject
    assert len(own_cases(site, recipe, TEMPLATE, run="run").validation) == 2
    assert sum_thresholds(request(recipe), recipe, site) == NOTHING


def test_a_verdict_at_the_site_is_given_where_the_lesions_were_drawn_a_choice_is_not(
    tmp_path: Path,
) -> None:
    """Of four subjects one has its reference on the scanner's grid."""
    hospital = read_site(write_site(tmp_path, name="lyon", seed=0, n_subjects=4))
    draw_on_thick_slices(hospital.data, "sub-01")
    recipe = tiny(0.5)
    network = new_network(recipe)
    cases = labelled_cases(hospital, recipe, TEMPLATE)

    def sums_of(*, as_drawn: bool) -> tuple[int, ...]:
        sweeps = [
            sweep_case(network, case, recipe, thresholds=THRESHOLDS, as_drawn=as_drawn)
            for case in cases
        ]
        return sum_cases(sweeps, THRESHOLDS).dice

    reply = sum_thresholds(request(recipe, "all"), recipe, hospital)
    assert (reply.n_cases, reply.n_on_scanner_grid) == (4, 1)
    assert reply.dice_sums == sums_of(as_drawn=True) != sums_of(as_drawn=False)
    chosen = sum_thresholds(request(recipe), recipe, hospital)
    kept = own_cases(hospital, recipe, TEMPLATE, run="run").validation
    sweeps = [sweep_case(network, case, recipe, thresholds=THRESHOLDS) for case in kept]
    assert chosen.n_on_scanner_grid == 0
    assert chosen.dice_sums == sum_cases(sweeps, THRESHOLDS).dice
