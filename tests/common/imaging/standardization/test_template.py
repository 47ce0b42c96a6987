from __future__ import annotations

import functools
import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import SiteDataError, UpdateRejected
from common.imaging.standardization.standardization import N_LANDMARKS, Method
from common.imaging.standardization.template import (
    LEARNED_FROM,
    TemplateSums,
    refuse_implausible,
    subject_sums,
)
from tests.common.imaging.standardization.tissues import nine_voxels, scan, tissue_labels


def one_modality(n_subjects: int, *sums: float) -> TemplateSums:
    return TemplateSums(n_subjects, {"FLAIR": np.array(sums)})


def assert_same(one: TemplateSums, other: TemplateSums) -> None:
    assert one.n_subjects == other.n_subjects
    assert one.landmark_sums.keys() == other.landmark_sums.keys()
    for modality, sums in one.landmark_sums.items():
        np.testing.assert_allclose(sums, other.landmark_sums[modality], rtol=1e-12)


@st.composite
def groups(draw: st.DrawFn) -> TemplateSums:
    """The sums of 0 to 40 subjects in two modalities."""
    n_subjects = draw(st.integers(0, 40))
    step = st.floats(0.05, 1.0)
    rising = [n_subjects * np.cumsum([draw(step), draw(step), draw(step)]) for _ in range(2)]
    return TemplateSums(n_subjects, dict(zip(("FLAIR", "T1w"), rising, strict=True)))


def test_the_template_counts_each_subject_once_however_large_its_site() -> None:
    # one site of 1 subject, one of 3: ((0.6 + 1.2) / 4, (0.9 + 3) / 4, (1.1 + 3.9) / 4)
    template = (one_modality(1, 0.6, 0.9, 1.1) + one_modality(3, 1.2, 3.0, 3.9)).template()
    assert template["FLAIR"] == pytest.approx((0.45, 0.975, 1.25))


def test_a_subject_adds_its_relative_centres_of_each_modality() -> None:
    image, brain = nine_voxels()
    sums = subject_sums({"FLAIR": image, "T1w": 7 * image}, brain, method="two-step")
    assert sums.n_subjects == 1
    np.testing.assert_allclose(sums.landmark_sums["FLAIR"], [0.2, 1.0, 1.8])
    np.testing.assert_allclose(sums.landmark_sums["T1w"], [0.2, 1.0, 1.8])


@given(groups(), groups(), groups())
def test_adding_groups_knows_neither_order_nor_brackets(
    a: TemplateSums, b: TemplateSums, c: TemplateSums
) -> None:
    assert_same(a + b, b + a)
    assert_same((a + b) + c, a + (b + c))


@given(groups())
def test_a_site_without_subjects_changes_nothing(group: TemplateSums) -> None:
    assert_same(group + TemplateSums.none(["FLAIR", "T1w"], 3), group)


@pytest.mark.parametrize("method", ["two-step", "nyul"])
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=6), st.integers(0, 1000))
def test_the_federated_template_equals_the_pooled_one(
    method: Method, sites: list[int], seed: int
) -> None:
    labels = tissue_labels()[8:16, 8:16, 1:7]
    brain = labels > 0
    gammas = np.random.default_rng(seed).uniform(0.7, 1.4, len(sites))
    images = [scan(labels, gamma=g, gain=100 * g, seed=k) for k, g in enumerate(gammas)]
    pooled = np.mean([LEARNED_FROM[method](image, brain) for image in images], axis=0)
    per_site = [TemplateSums.none(["FLAIR"], N_LANDMARKS[method])] * 4
    for site, image in zip(sites, images, strict=True):
        per_site[site] = per_site[site] + subject_sums({"FLAIR": image}, brain, method=method)
    federated = functools.reduce(operator.add, per_site).template()
    np.testing.assert_allclose(federated["FLAIR"], pooled, rtol=1e-6)


def test_nyuls_standard_is_the_mean_of_the_landmarks_on_its_scale() -> None:
    # 0 1 ... 100 has percentile p at p: (p - 1) / 98 of the scale; its square has p^2 at p:
    # (p^2 - 1) / 9800. Median: 100 * 49 / 98 = 50 and 100 * 2499 / 9800 = 25.5; one of the first
    # at one site, three of the second at another: (50 + 3 * 25.5) / 4
    ramp = np.arange(101.0).reshape(1, 1, 101)
    brain = np.ones(ramp.shape, dtype=bool)
    one = subject_sums({"FLAIR": 7 * ramp + 30}, brain, method="nyul")
    other = subject_sums({"FLAIR": ramp**2}, brain, method="nyul")
    standard = (one + (other + other + other)).template()["FLAIR"]
    assert len(standard) == 13
    assert (standard[0], standard[-1]) == (0, 100)
    assert standard[6] == pytest.approx((50 + 3 * 25.5) / 4)


def test_no_subject_at_all_makes_no_template() -> None:
    with pytest.raises(SiteDataError, match="no subject contributed to the template"):
        TemplateSums.none(["FLAIR"], 3).template()


def test_groups_with_other_modalities_are_refused_by_name() -> None:
    with pytest.raises(UpdateRejected, match=r"disagree on \['T1w'\]"):
        TemplateSums.none(["FLAIR"], 3) + TemplateSums.none(["FLAIR", "T1w"], 3)


def test_groups_with_another_number_of_landmarks_are_refused() -> None:
    with pytest.raises(UpdateRejected, match=r"FLAIR: .* have 13 and 3 landmarks"):
        TemplateSums.none(["FLAIR"], 13) + one_modality(1, 0.6, 0.9, 1.1)


@pytest.mark.parametrize(
    ("n_subjects", "sums", "text"),
    [
        pytest.param(-1, (0.0, 0.0, 0.0), "0 subjects or more, got -1", id="negative count"),
        pytest.param(2, (1.0, math.nan, 3.0), "a row of finite sums", id="NaN"),
        pytest.param(0, (1.0, 2.0, 3.0), "zeros from 0 subjects", id="sums of nobody"),
        pytest.param(2, (1.0, 3.0, 2.0), "rise from landmark to landmark", id="falling"),
    ],
)
def test_sums_no_site_can_have_are_refused(
    n_subjects: int, sums: tuple[float, ...], text: str
) -> None:
    with pytest.raises(UpdateRejected, match=text):
        one_modality(n_subjects, *sums)


ON_SCALE = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 90.0, 100.0)


@pytest.mark.parametrize(
    ("method", "sums"),
    [
        pytest.param("two-step", (-0.2, 2.0, 4.0), id="below 0"),
        pytest.param("two-step", (2.2, 2.4, 4.0), id="all above the mean"),
        pytest.param("two-step", (0.2, 0.4, 1.9), id="all below the mean"),
        pytest.param("two-step", (1.0, 2.0, 202.0), id="above 100"),
        pytest.param("two-step", (1.0, 1.0 + 1e-9, 3.0), id="no step"),
        pytest.param("nyul", tuple(2 * x + 2 for x in ON_SCALE), id="begins at 1"),
        pytest.param("nyul", tuple(1.9 * x for x in ON_SCALE), id="ends at 95"),
        pytest.param("nyul", (0.0, 0.1, *(2 * x for x in ON_SCALE[2:])), id="step of 0.05"),
    ],
)
def test_sums_of_two_subjects_that_no_images_have_are_refused(
    method: Method, sums: tuple[float, ...]
) -> None:
    with pytest.raises(UpdateRejected, match=r"template, FLAIR: want .* mean over 2 subjects"):
        refuse_implausible(one_modality(2, *sums), method=method)


@pytest.mark.parametrize("method", ["two-step", "nyul"])
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.3, 8.0), st.integers(1, 10**7))
def test_sums_of_any_image_are_plausible(
    method: Method, seed: int, skew: float, n_subjects: int
) -> None:
    image = np.random.default_rng(seed).uniform(0.01, 1, (9, 8, 7)) ** skew
    try:
        landmarks = LEARNED_FROM[method](image, np.ones(image.shape, dtype=bool))
    except SiteDataError:  # so skewed that percentiles meet
        return
    refuse_implausible(one_modality(n_subjects, *(n_subjects * landmarks)), method=method)


def test_plausible_sums_rise_when_a_large_site_meets_a_small_one() -> None:
    # the worst case: the least step beside the largest sums
    large, small = one_modality(10**7, 1e7, 1e7 + 10, 1e9), one_modality(1, 1.0, 1.000001, 100.0)
    for sums in (large, small):
        refuse_implausible(sums, method="two-step")
    first, second, third = (large + small).template()["FLAIR"]
    assert first < second < third < 100.001


@pytest.mark.parametrize("method", ["two-step", "nyul", "z-score"])
def test_a_site_without_subjects_is_plausible(method: Method) -> None:
    n_landmarks = N_LANDMARKS.get(method, 0)
    refuse_implausible(TemplateSums.none(["FLAIR"], n_landmarks), method=method)


@given(
    st.lists(st.tuples(st.floats(0.1, 5), st.booleans(), st.integers(0, 2)), min_size=1, max_size=9)
)
def test_a_modality_has_the_mean_over_the_subjects_that_have_it_however_they_lie_at_sites(
    subjects: list[tuple[float, bool, int]],
) -> None:
    sites = [TemplateSums.none(["FLAIR", "T1w"], 3)] * 3
    with_t1w = []
    for level, has_t1w, site in subjects:
        row = level * np.array([1.0, 2.0, 4.0])
        t1w = 3 * row if has_t1w else np.zeros(3)
        one = TemplateSums(1, {"FLAIR": row, "T1w": t1w}, {} if has_t1w else {"T1w": 1})
        sites[site] = sites[site] + one
        with_t1w += [3 * row] if has_t1w else []
    total = sites[2] + (sites[0] + sites[1])
    assert total.n_with("FLAIR") == len(subjects)
    assert total.n_with("T1w") == len(with_t1w)
    if with_t1w:
        np.testing.assert_allclose(total.template()["T1w"], np.mean(with_t1w, axis=0))
    else:
        with pytest.raises(SiteDataError, match="no subject contributed its T1w"):
            total.template()
