from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.standardization import Seen, Spreads, seen, spreads, standardized
from common.errors import ConfigError, GeometryError, SiteDataError
from common.imaging.standardization.brain_voxels import BrainMask, Image
from common.imaging.standardization.kmeans_standardization import CentreMap
from common.imaging.standardization.landmark_map import Landmarks
from common.imaging.standardization.standardization import Method, Standardized, standardize
from common.imaging.standardization.template import TemplateSums, subject_sums
from common.imaging.standardization.zscore import z_score
from common.imaging.volume import read_mask, read_volume
from tests.common.imaging.standardization.tissues import (
    GREY,
    WHITE,
    mode,
    nine_voxels,
    scan,
    tissue_labels,
)

TEMPLATE = np.array([0.5, 1.0, 1.25])
NYUL = np.array([0.0, 20, 30, 35, 40, 45, 50, 55, 60, 65, 70, 80, 100])
METHODS: tuple[Method, ...] = ("two-step", "nyul", "z-score", "none")
LJUBLJANA = Path(__file__).parents[5] / "shared" / "data" / "sites" / "ljubljana-cs"


def two_step(image: Image, brain: BrainMask, *, map: CentreMap = "piecewise") -> Standardized:
    return standardize(image, brain, method="two-step", map=map, template_landmarks=TEMPLATE)


def test_two_step_is_the_piecewise_map_then_the_z_score() -> None:
    # centres 2 10 18 go to 0.5 1 1.25: 1/16 a unit below 10, 1/32 above
    image, brain = nine_voxels()
    mapped = np.where(image < 10, 1 + (image - 10) / 16, 1 + (image - 10) / 32)
    standardized = two_step(image, brain)
    np.testing.assert_allclose(standardized.image[brain], z_score(mapped[brain]), rtol=1e-6)
    assert standardized.fallback is None


def test_the_smooth_map_then_the_z_score() -> None:
    # the parabola through (2, 0.5) (10, 1) (18, 1.25); 1, 19 lie past its ends: slopes 5/64, 1/64
    image, brain = nine_voxels()
    from_middle = image - 10
    mapped = 1 + 3 / 64 * from_middle - from_middle**2 / 512
    mapped = np.where(image == 1, 0.5 - 5 / 64, np.where(image == 19, 1.25 + 1 / 64, mapped))
    smooth = two_step(image, brain, map="smooth").image
    np.testing.assert_allclose(smooth[brain], z_score(mapped[brain]), rtol=1e-5)


def test_the_line_takes_its_moments_over_the_zeros_too() -> None:
    # least squares: 11/12 + 3/64 (x - 10) inside, 0 for the one voxel outside
    image, brain = nine_voxels()
    mapped = np.where(brain, 11 / 12 + 3 / 64 * (image - 10), 0.0)
    expected = (mapped - mapped.mean()) / mapped.std()
    standardized = two_step(image, brain, map="line").image
    np.testing.assert_allclose(standardized[brain], expected[brain], rtol=1e-6)


def test_z_score_has_mean_0_and_deviation_1_inside_the_brain() -> None:
    image, brain = nine_voxels()
    inside = standardize(image, brain, method="z-score").image[brain]
    assert inside.mean() == pytest.approx(0, abs=1e-6)
    assert inside.std() == pytest.approx(1, abs=1e-6)


def test_none_leaves_the_intensities_inside_the_brain_alone() -> None:
    image, brain = nine_voxels()
    np.testing.assert_array_equal(
        standardize(image, brain, method="none").image, np.where(brain, image, 0)
    )


def landmarks(method: Method) -> Landmarks:
    return NYUL if method == "nyul" else TEMPLATE


@pytest.mark.parametrize("map", ["piecewise", "smooth", "line"])
@pytest.mark.parametrize("method", METHODS)
def test_outside_the_brain_is_0_and_the_input_untouched(method: Method, map: CentreMap) -> None:
    image, brain = nine_voxels()
    before = image.copy()
    standardized = standardize(
        image, brain, method=method, map=map, template_landmarks=landmarks(method)
    ).image
    assert standardized.dtype == np.float32
    assert np.all(standardized[~brain] == 0)
    np.testing.assert_array_equal(image, before)


def test_without_three_classes_the_z_score_is_left_and_the_reason_given() -> None:
    image = np.array([[[8.0, 12.0, 8.0]], [[12.0, 8.0, 12.0]]])
    brain = np.ones(image.shape, dtype=bool)
    standardized = two_step(image, brain)
    np.testing.assert_allclose(standardized.image, [[[-1, 1, -1]], [[1, -1, 1]]])
    assert standardized.fallback is not None
    assert "class 1 of 3" in standardized.fallback


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e4), st.floats(0.7, 1.4))
def test_a_scanners_gain_changes_nothing(gain: float, gamma: float) -> None:
    labels = tissue_labels()
    image = scan(labels, gamma=gamma, gain=1.0, seed=2)
    np.testing.assert_allclose(
        two_step(gain * image, labels > 0).image, two_step(image, labels > 0).image, atol=1e-5
    )


@pytest.mark.parametrize(
    ("method", "template", "words"),
    [
        ("two-step", None, '"two-step" wants a template with 3 landmarks .* got none'),
        ("nyul", None, '"nyul" wants a template with 13 landmarks .* got none'),
        ("two-step", NYUL, "with 3 landmarks for each modality, got 13"),
        ("nyul", TEMPLATE, "with 13 landmarks for each modality, got 3"),
    ],
)
def test_without_a_template_of_its_own_a_method_is_refused(
    method: Method, template: Landmarks | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        standardize(*nine_voxels(), method=method, template_landmarks=template)


@pytest.mark.parametrize("method", METHODS)
def test_an_unusable_brain_is_refused_by_every_method(method: Method) -> None:
    image, brain = nine_voxels()
    with pytest.raises(SiteDataError, match="holds no voxel"):
        standardize(
            image, np.zeros_like(brain), method=method, template_landmarks=landmarks(method)
        )
    with pytest.raises(SiteDataError, match="all 9 voxels inside the brain mask equal 7"):
        standardize(
            np.full_like(image, 7), brain, method=method, template_landmarks=landmarks(method)
        )
    with pytest.raises(GeometryError, match="Resample the mask"):
        standardize(image[:1], brain, method=method, template_landmarks=landmarks(method))


def spread_of_modes(
    images: list[Image], brain: BrainMask, tissue: BrainMask, *, method: Method
) -> float:
    """Standard deviation over the images of the tissue's mode; the template is the images' own."""
    scored = standardized(tuple(images), brain, method=method)
    return float(np.std([mode(image[tissue].astype(float)) for image in scored]))


@pytest.mark.parametrize("tissue", [GREY, WHITE])
def test_modes_of_a_tissue_agree_better_over_scanners_that_differ_in_gamma_alone(
    tissue: int,
) -> None:
    labels = tissue_labels()
    gammas = (0.7, 0.85, 1.0, 1.2, 1.4)
    images: list[Image] = [scan(labels, gamma=g, gain=300 * g, seed=1) for g in gammas]
    two_step = spread_of_modes(images, labels > 0, labels == tissue, method="two-step")
    alone = spread_of_modes(images, labels > 0, labels == tissue, method="z-score")
    assert two_step < 0.75 * alone


SUBJECTS = (0, 1)


@pytest.fixture(scope="module")
def response() -> list[Spreads]:
    """Two subjects in six scanners that differ in gain, offset and gamma (0.7 to 1.4) alone."""
    return [spreads(seen("response", seed=seed, spacing_mm=3.0)) for seed in SUBJECTS]


@pytest.fixture(scope="module")
def phantoms() -> list[Seen]:
    """The same subjects in six scanners that differ in all that phantom scanners can."""
    return [seen("everything", seed=seed, spacing_mm=3.0) for seed in SUBJECTS]


@pytest.fixture(scope="module")
def everything(phantoms: list[Seen]) -> list[Spreads]:
    """How far the modes of `phantoms` lie apart."""
    return [spreads(phantom) for phantom in phantoms]


def both_tissues(tables: list[Spreads], modality: str, method: str) -> float:
    """Spread of white matter's modes plus that of grey matter's, over all subjects."""
    return sum(sum(table[modality][method]) for table in tables)


@pytest.mark.parametrize("modality", ["FLAIR", "T1w"])
def test_over_scanners_that_differ_in_their_curve_the_modes_agree_within_5_percent_of_the_gap(
    response: list[Spreads], modality: str
) -> None:
    # along the smooth curve; piecewise misses it in FLAIR, where the corner lies in white matter
    for table in response:
        assert max(table[modality]["smooth"]) < 0.05
        assert max(table[modality]["Nyul"]) < 0.05
        assert max(table[modality]["undone"]) < 0.02
        assert max(table[modality]["z-score"]) > 0.05


@pytest.mark.parametrize("modality", ["FLAIR", "T1w"])
def test_the_smooth_curve_agrees_better_than_the_piecewise_one_and_that_than_the_z_score_alone(
    response: list[Spreads], modality: str
) -> None:
    piecewise = both_tissues(response, modality, "two-step")
    assert both_tissues(response, modality, "smooth") < 0.7 * piecewise
    assert piecewise < 0.9 * both_tissues(response, modality, "z-score")


@pytest.mark.parametrize("modality", ["FLAIR", "T1w"])
@pytest.mark.parametrize("method", ["two-step", "smooth", "Nyul"])
def test_over_scanners_of_other_contrast_too_a_template_is_better_than_none(
    everything: list[Spreads], modality: str, method: str
) -> None:
    alone = both_tissues(everything, modality, "z-score")
    assert both_tissues(everything, modality, method) < 0.95 * alone


@pytest.mark.skipif(not LJUBLJANA.is_dir(), reason="the shared volumes are not beside the project")
def test_on_a_real_image_two_step_differs_from_the_z_score_alone(
    phantoms: list[Seen],
) -> None:
    phantom = phantoms[0]
    name = "sub-LJ3T019"
    image = read_volume(LJUBLJANA / name / "anat" / f"{name}_FLAIR.nii.gz").data
    masks = LJUBLJANA / "derivatives" / "lesions" / name / "anat"
    brain = read_mask(masks / f"{name}_desc-brain_mask.nii.gz").data
    sums = [
        subject_sums({"FLAIR": flair}, phantom.brain, method="two-step")
        for flair in phantom.images["FLAIR"]
    ]
    template = sum(sums, TemplateSums.none(["FLAIR"], 3)).template()
    standardized = standardize(
        image, brain, method="two-step", template_landmarks=np.array(template["FLAIR"])
    )
    alone = standardize(image, brain, method="z-score").image
    assert standardized.fallback is None
    assert np.abs(standardized.image - alone).max() > 0.05
