from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.geometry_checks import (
    orientations_agree,
    sidecar_fits_the_header,
    slices_are_thin,
)
from common.imaging.volume import Volume
from tests.opened import only, opened
from tests.volumes import oblique_affine, stripped_brain


def of_spacing(*spacing_mm: float) -> Volume:
    di, dj, dk = spacing_mm
    return Volume(stripped_brain().data, oblique_affine((di, dj, dk)))


@pytest.mark.parametrize(
    ("spacing_mm", "level", "code"),
    [
        pytest.param((1.0, 1.0, 4.01), "warning", "thick-slices", id="more than 4 mm"),
        pytest.param((5.5, 0.9, 0.9), "warning", "thick-slices", id="sagittal slices"),
        pytest.param((1.0, 1.0, 4.0), "note", "anisotropic", id="4 mm is just thin enough"),
        pytest.param((0.001, 0.001, 0.003), "warning", "odd-spacing", id="metres"),
        pytest.param((1.0, 1.0, 13.0), "warning", "odd-spacing", id="slices are missing"),
    ],
)
def test_long_voxels_are_reported(spacing_mm: tuple[float, ...], level: str, code: str) -> None:
    finding = only(list(slices_are_thin(opened(FLAIR=of_spacing(*spacing_mm)))))
    assert (finding.level, finding.code) == (level, code)


def test_voxels_twice_as_long_as_wide_are_fine() -> None:
    assert not list(slices_are_thin(opened(FLAIR=of_spacing(1.0, 1.0, 2.0))))


def test_modalities_with_other_axes_are_a_note_that_lists_them() -> None:
    reversed_i = Volume(stripped_brain().data, oblique_affine() @ np.diag([-1.0, 1, 1, 1]))
    case = opened(FLAIR=stripped_brain(), T1w=reversed_i)
    assert "FLAIR RAS, T1w LAS" in only(list(orientations_agree(case))).text
    assert not list(orientations_agree(opened(FLAIR=stripped_brain(), T1w=stripped_brain())))


@pytest.mark.parametrize(
    ("sidecar", "code"),
    [
        ({"SpacingBetweenSlices": 3.3, "SliceThickness": 3.3}, "sidecar-spacing"),
        ({"SpacingBetweenSlices": 3.0, "SliceThickness": 2.5}, "slice-gap"),
    ],
)
def test_a_sidecar_is_compared_with_the_header(
    tmp_path: Path, sidecar: dict[str, float], code: str
) -> None:
    (tmp_path / "FLAIR.json").write_text(json.dumps(sidecar))
    case = opened(root=tmp_path, FLAIR=of_spacing(1.0, 1.25, 3.0))
    assert only(list(sidecar_fits_the_header(case))).code == code


@pytest.mark.parametrize("text", ["[]", "no", '{"SpacingBetweenSlices": NaN}', '{"a": true}'])
def test_a_sidecar_that_tells_nothing_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "FLAIR.json").write_text(text)
    assert not list(sidecar_fits_the_header(opened(root=tmp_path, FLAIR=stripped_brain())))
