"""The consortium's template: mean relative class centres, from sums that sites may share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from common.errors import SiteDataError, UpdateRejected
from common.imaging.preprocessing.brain_voxels import BrainMask, Image
from common.imaging.preprocessing.class_centres import Centres, relative_centres

Template = dict[str, tuple[float, float, float]]
"""Modality -> class centres, rising, in units of a subject's mean inside the mask.

Plain numbers: they stand in recipes, messages and model files."""


@dataclass(frozen=True, slots=True, eq=False)
class TemplateSums:
    """What a subject, a site or the consortium adds to the template.

    n_subjects    0 or more
    centre_sums   modality -> (3,), relative centres summed over the subjects

    `+` joins two groups of subjects: in any order, grouped in any way, with `none` changing
    nothing. A site's sums and the pooled sums thus differ by rounding alone.
    """

    n_subjects: int
    centre_sums: Mapping[str, Centres]

    def __post_init__(self) -> None:
        if self.n_subjects < 0:
            raise UpdateRejected(f"template: want 0 subjects or more, got {self.n_subjects}")
        for modality, sums in self.centre_sums.items():
            self._check(modality, sums)

    def _check(self, modality: str, sums: Centres) -> None:
        if sums.shape != (3,) or not np.all(np.isfinite(sums)):
            wanted = "three finite sums"
        elif self.n_subjects == 0 and np.any(sums != 0):
            wanted = "zeros from 0 subjects"
        elif self.n_subjects > 0 and not np.all(np.diff(sums) > 0):
            wanted = "sums that rise from class to class"
        else:
            return
        raise UpdateRejected(f"template, {modality}: want {wanted}, got {sums.tolist()}")

    @classmethod
    def none(cls, modalities: Iterable[str]) -> Self:
        """The sums over no subject, such as those of a site without controls."""
        return cls(0, {modality: np.zeros(3) for modality in modalities})

    def __add__(self, other: Self) -> Self:
        if self.centre_sums.keys() != other.centre_sums.keys():
            odd = sorted(self.centre_sums.keys() ^ other.centre_sums.keys())
            raise UpdateRejected(f"template: two groups of subjects disagree on {odd}")
        joined = {name: sums + other.centre_sums[name] for name, sums in self.centre_sums.items()}
        return type(self)(self.n_subjects + other.n_subjects, joined)

    def template(self) -> Template:
        """The mean over the subjects, modality by modality.

        Source   Galassi 2019 averages the images of 20 healthy controls into an atlas. Chosen:
                 their class centres, each divided by the subject's own mean, so that no image
                 leaves a site; by default everyone's, not the controls' alone.
        """
        if self.n_subjects == 0:
            raise SiteDataError(
                "no subject contributed to the template. With standardization.template_from = "
                '"controls", a participants.tsv must say diagnosis = healthy for at least one; '
                'or choose "all" or "fixed".'
            )
        means = {name: sums / self.n_subjects for name, sums in self.centre_sums.items()}
        return {name: (float(a), float(b), float(c)) for name, (a, b, c) in means.items()}


def subject_sums(images: Mapping[str, Image], brain: BrainMask) -> TemplateSums:
    """One subject's part of the template: its relative class centres, modality by modality.

    images   modality -> (i, j, k), scanner units
    brain    (i, j, k); errors as in `class_centres`
    """
    return TemplateSums(1, {name: relative_centres(image, brain) for name, image in images.items()})
