"""The consortium's template: each image's landmarks, averaged from sums that sites may share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from common.errors import SiteDataError, UpdateRejected
from common.imaging.standardization.brain_voxels import BrainMask, Image
from common.imaging.standardization.kmeans_standardization import relative_centres
from common.imaging.standardization.landmark_map import Landmarks
from common.imaging.standardization.nyul import SCALE, SMALLEST_GAP, landmarks_on_scale
from common.imaging.standardization.standardization import N_LANDMARKS, Method

FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]
FewNumbers = Annotated[tuple[FiniteNumber, ...], Field(max_length=13)]

Template = dict[str, FewNumbers]
"""Modality -> landmarks, rising. What they are depends on the recipe's method:

two-step   3 class centres, in units of a subject's mean inside the mask
nyul       13 percentiles, on the standard scale from 0 to 100

Plain numbers: they stand in recipes, messages and model files."""

LEARNED_FROM = {"two-step": relative_centres, "nyul": landmarks_on_scale}
"""Method -> the landmarks of one image, without the scanner's unit."""

HIGHEST_CENTRE = 100.0
"""No class lies further above a subject's mean, in units of that mean. Chosen."""

SMALLEST_STEP = {"two-step": 1e-6, "nyul": SMALLEST_GAP * (SCALE[1] - SCALE[0])}
"""Method -> how far a subject's landmarks lie apart. Chosen for two-step: far above rounding, so
that sums of any sizes rise when added."""

ROUNDING = 1e-6
"""What sums may be off by, as part of the figure they are held against."""


@dataclass(frozen=True, slots=True, eq=False)
class TemplateSums:
    """What a subject, a site or the consortium adds to the template.

    n_subjects      0 or more
    landmark_sums   modality -> (k,), landmarks summed over the subjects that have it
    without         modality -> how many of the subjects have no image of it, where some have none

    `+` joins two groups of subjects: in any order, grouped in any way, with `none` changing
    nothing. A site's sums and the pooled sums thus differ by rounding alone.
    """

    n_subjects: int
    landmark_sums: Mapping[str, Landmarks]
    without: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n_subjects < 0:
            raise UpdateRejected(f"template: want 0 subjects or more, got {self.n_subjects}")
        for modality, n in self.without.items():
            if modality not in self.landmark_sums or not 0 <= n <= self.n_subjects:
                raise UpdateRejected(
                    f"template, {modality}: want 0 to {self.n_subjects} subjects without an image "
                    f"of one of {sorted(self.landmark_sums)}, got {n}"
                )
        for modality, sums in self.landmark_sums.items():
            self._check(modality, sums)

    def _check(self, modality: str, sums: Landmarks) -> None:
        if sums.ndim != 1 or not np.all(np.isfinite(sums)):
            wanted = "a row of finite sums"
        elif self.n_with(modality) == 0 and np.any(sums != 0):
            wanted = "zeros from 0 subjects"
        elif self.n_with(modality) > 0 and not np.all(sums[1:] > sums[:-1]):
            wanted = "sums that rise from landmark to landmark"
        else:
            return
        raise UpdateRejected(f"template, {modality}: want {wanted}, got {sums.tolist()}")

    def n_with(self, modality: str) -> int:
        """The subjects that the sums of a modality are over."""
        return self.n_subjects - self.without.get(modality, 0)

    @classmethod
    def none(cls, modalities: Iterable[str], n_landmarks: int) -> Self:
        """The sums over no subject, such as those of a site without controls.

        n_landmarks   of each modality, 0 for a method that needs no template
        """
        return cls(0, {modality: np.zeros(n_landmarks) for modality in modalities})

    def __add__(self, other: Self) -> Self:
        if self.landmark_sums.keys() != other.landmark_sums.keys():
            odd = sorted(self.landmark_sums.keys() ^ other.landmark_sums.keys())
            raise UpdateRejected(f"template: two groups of subjects disagree on {odd}")
        for name, sums in self.landmark_sums.items():
            if (n := other.landmark_sums[name].size) != sums.size:
                raise UpdateRejected(
                    f"template, {name}: two groups of subjects have {sums.size} and {n} landmarks"
                )
        joined = {
            name: sums + other.landmark_sums[name] for name, sums in self.landmark_sums.items()
        }
        without = {
            name: n
            for name in self.landmark_sums
            if (n := self.without.get(name, 0) + other.without.get(name, 0))
        }
        return type(self)(self.n_subjects + other.n_subjects, joined, without)

    def template(self) -> Template:
        """The mean over the subjects, modality by modality.

        Source   two-step: Galassi 2019 averages the images of 20 healthy controls into an atlas.
                 Chosen: their class centres, each divided by the subject's own mean, so that no
                 image leaves a site; by default everyone's, not the controls' alone.
                 nyul: Nyul 2000. Chosen: a subject counts once, with the mean over its sessions.
        """
        if self.n_subjects == 0:
            raise SiteDataError(
                "no subject contributed to the template. With standardization.template_from = "
                '"controls", a participants.tsv must say diagnosis = healthy for at least one; '
                'or choose "all" or "fixed".'
            )
        if lacking := [name for name in self.landmark_sums if not self.n_with(name)]:
            raise SiteDataError(
                f"no subject contributed its {lacking[0]} to the template: no site has one, or "
                "each has fewer than its policy allows to be summed. Take it out of "
                "task.modalities and task.optional_modalities, or choose "
                'standardization.method = "z-score", which needs no template.'
            )
        means = {name: sums / self.n_with(name) for name, sums in self.landmark_sums.items()}
        return {name: tuple(mean.tolist()) for name, mean in means.items()}


def refuse_implausible(sums: TemplateSums, *, method: Method) -> None:
    """Nothing; UpdateRejected where one site's sums cannot come from images.

    sums     of one site, as many landmarks as the method has
    method   one without a template, or a site without subjects, has nothing to refuse

    Held against the mean over the site's subjects:
    two-step   from 0 to `HIGHEST_CENTRE`, the lowest centre at most 1 and the highest at least 1:
               the voxels of a subject have the mean 1, and the classes share them out
    nyul       the ends are those of `SCALE`
    Sums that pass can be added to others that pass without an error: they stay finite and rise.
    """
    if method not in LEARNED_FROM or sums.n_subjects == 0:
        return
    for modality, row in sums.landmark_sums.items():
        if (n_subjects := sums.n_with(modality)) == 0:
            continue
        mean = row / n_subjects
        low, high = float(mean[0]), float(mean[-1])
        if method == "two-step":
            fits = 0 <= low <= 1 + ROUNDING and 1 - ROUNDING <= high <= HIGHEST_CENTRE
            wanted = f"centres from 0..1 to 1..{HIGHEST_CENTRE:g} times the subject's mean"
        else:
            fits = bool(np.allclose((low, high), SCALE, rtol=0, atol=ROUNDING * SCALE[1]))
            wanted = f"landmarks from {SCALE[0]:g} to {SCALE[1]:g}"
        step = SMALLEST_STEP[method]
        if not fits or np.min(np.diff(mean)) < step * (1 - ROUNDING):
            raise UpdateRejected(
                f"template, {modality}: want {wanted}, {step:g} or more apart, got "
                f"{mean.tolist()} as the mean over {n_subjects} subjects"
            )


def subject_sums(
    images: Mapping[str, Image], brain: BrainMask, *, method: Method, lacking: Sequence[str] = ()
) -> TemplateSums:
    """One subject's part of the template: its landmarks, modality by modality.

    images    modality -> (i, j, k), scanner units
    brain     (i, j, k)
    method    one that has a template; the errors are those of its entry in `LEARNED_FROM`
    lacking   modalities of the task of which the subject has no image
    """
    landmarks = LEARNED_FROM[method]
    sums = {name: landmarks(image, brain) for name, image in images.items()}
    sums |= {name: np.zeros(N_LANDMARKS[method]) for name in lacking}
    return TemplateSums(1, sums, dict.fromkeys(lacking, 1))
