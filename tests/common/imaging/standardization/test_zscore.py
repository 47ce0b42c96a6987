from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.imaging.standardization.kmeans_standardization import map_to_template
from common.imaging.standardization.zscore import whole_image_z_score, z_score
from tests.common.imaging.standardization.tissues import scan, tissue_labels


def test_z_score_divides_by_the_deviation_of_all_voxels_not_of_a_sample() -> None:
    # mean 3, differences -2 -1 0 3, mean square 14 / 4
    np.testing.assert_allclose(
        z_score(np.array([1.0, 2, 3, 6])), np.array([-2, -1, 0, 3]) / np.sqrt(3.5)
    )


def test_the_whole_images_moments_count_the_zeros_outside() -> None:
    # 1 3 and 0 0: mean 1, mean square (0 + 4 + 1 + 1) / 4
    np.testing.assert_allclose(
        whole_image_z_score(np.array([1.0, 3.0]), 2), np.array([0, 2]) / np.sqrt(1.5)
    )


@given(st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_a_line_before_the_z_score_changes_nothing(slope: float, offset: float) -> None:
    voxels = np.array([1.0, 2, 3, 9, 10, 11, 17, 18, 19])
    np.testing.assert_allclose(z_score(slope * voxels + offset), z_score(voxels), atol=1e-8)


@settings(deadline=None)
@given(
    st.tuples(st.floats(0.1, 0.5), st.floats(0.1, 0.5), st.floats(0.1, 0.5)),
    st.floats(0.7, 1.4),
)
def test_a_line_to_any_template_is_the_z_score_alone(
    steps: tuple[float, float, float], gamma: float
) -> None:
    labels = tissue_labels()
    voxels = scan(labels, gamma=gamma, gain=400.0, seed=1)[labels > 0]
    mapped = map_to_template(voxels, np.cumsum(steps), map="line")
    assert mapped.left_out is None
    np.testing.assert_allclose(z_score(mapped.voxels), z_score(voxels), atol=1e-9)


def test_a_piecewise_map_to_a_template_is_not_the_z_score_alone() -> None:
    labels = tissue_labels()
    voxels = scan(labels, gamma=1.0, gain=400.0, seed=1)[labels > 0]
    mapped = map_to_template(voxels, np.array([0.4, 1.1, 1.2]), map="piecewise")
    assert np.abs(z_score(mapped.voxels) - z_score(voxels)).max() > 0.5
