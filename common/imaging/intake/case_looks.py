"""Everything a person should look at before a case is used; none of it leaves the case out."""

from __future__ import annotations

from common.imaging.intake.case_checks import Check
from common.imaging.intake.face import faces_are_told
from common.imaging.intake.field_of_view import brain_fits_the_image
from common.imaging.intake.geometry_checks import (
    orientations_agree,
    sidecar_fits_the_header,
    slices_are_thin,
)
from common.imaging.intake.intensity_checks import (
    brightest_is_not_clipped,
    lesions_are_plausible,
    values_are_not_negative,
    values_have_room,
)
from common.imaging.intake.left_right import no_modality_is_mirrored

LOOKS: tuple[Check, ...] = (
    orientations_agree,
    slices_are_thin,
    sidecar_fits_the_header,
    brain_fits_the_image,
    no_modality_is_mirrored,
    brightest_is_not_clipped,
    values_have_room,
    values_are_not_negative,
    lesions_are_plausible,
    faces_are_told,
)
"""Warnings and notes alone, so that training and `check` leave the same cases out."""
