"""The nine sites of the consortium benchmark: which role each has, how it scans, whom it treats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from common.phantom.acquisition import strata
from common.phantom.consortium import PhantomSite, drawn_sites
from common.phantom.lesions import LesionHabit
from common.phantom.scanner import PulseSequence, Scanner, drawn_scanners
from common.seeds import derived_seed

Role = Literal["training", "validation", "unseen"]

ROLES: dict[str, Role] = {
    **{f"train-{n}": "training" for n in range(1, 7)},
    "validation-1": "validation",
    "unseen-1": "unseen",
    "unseen-2": "unseen",
}
"""Site -> its role."""
LOADS_ML = {
    "train-1": (0.5, 8.0),
    "train-2": (1.0, 15.0),
    "train-3": (2.0, 25.0),
    "train-4": (0.7, 12.0),
    "train-5": (5.0, 40.0),
    "train-6": (3.0, 45.0),
    "validation-1": (1.0, 30.0),
    "unseen-1": (0.5, 40.0),
    "unseen-2": (45.0, 80.0),
}
"""Site -> its patients' least and largest lesion load. Those of unseen-2 lie above all others'."""
SAGITTAL_MM = 1.2
"""Sagittal slices of a FLAIR are no thicker. Chosen."""
LESION_FREE_EVERY = 4
"""The 4th, 8th, ... subject of a site has no lesions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSite:
    """One site of the benchmark.

    loads_ml   least and largest lesion load of its patients
    """

    role: Role
    site: PhantomSite
    loads_ml: tuple[float, float]

    def patients(self, n: int, seed: int) -> list[LesionHabit | None]:
        """How each of `n` subjects' lesions come; None for one without lesions.

        The loads are spread evenly over the site's range on a logarithmic scale. From 10 mL on a
        growing share of the load, up to 0.7, is one confluent lesion (chosen).
        """
        low, high = self.loads_ml
        points = strata(n, derived_seed(seed, "loads", self.site.name))
        habits: list[LesionHabit | None] = []
        for number, point in enumerate(points):
            load_ml = round(float(low * (high / low) ** point), 2)
            confluent = round(min(0.7, max(0.0, (load_ml - 10.0) / 40.0)), 3)
            one = replace(self.site.habit, load_ml=load_ml, confluent=confluent, spread=0.0)
            habits.append(None if (number + 1) % LESION_FREE_EVERY == 0 else one)
        return habits


def benchmark_sites(seed: int) -> list[BenchmarkSite]:
    """The nine sites, in the order of ROLES; the same seed draws the same ones.

    Training and validation sites come from one distribution, each parameter's range cut in as many
    parts as there are sites. The two unseen ones lie outside of it on purpose: unseen-1 has slices
    of 5.5 mm and a bias field twice as strong as the strongest; unseen-2 has cortex much
    brighter than white matter, lesions hardly brighter than cortex, three times the noise, a gamma
    beyond the range, and its patients have more lesion than any other site's.
    """
    names = [*ROLES]
    scanners = drawn_scanners(len(names), derived_seed(seed, "benchmark"), flair=_FLAIR, t1w=_T1W)
    drawn = drawn_sites(len(names), derived_seed(seed, "benchmark"))
    looseness = strata(len(names), derived_seed(seed, "benchmark", "looseness"))
    cores = strata(len(names), derived_seed(seed, "benchmark", "cores"))
    sites = []
    for number, name in enumerate(names):
        scanner = replace(
            scanners[number],
            flair=_thin_if_sagittal(scanners[number].flair),
            looseness=round(0.5 * float(looseness[number]), 3),
        )
        habit = replace(
            drawn[number].habit,
            least_share=0.1,
            core=round(0.1 + 0.3 * float(cores[number]), 3),
        )
        sites.append(
            BenchmarkSite(
                role=ROLES[name],
                site=PhantomSite(name=name, scanner=_outside(name, scanner), habit=habit),
                loads_ml=LOADS_ML[name],
            )
        )
    return sites


def _thin_if_sagittal(flair: PulseSequence) -> PulseSequence:
    """Sagittal FLAIRs are 3D: thick sagittal slices would draw their noise out from left to right,
    as streaks that no real image has."""
    if flair.slice_axis != 0:
        return flair
    return replace(flair, slice_mm=min(flair.slice_mm, SAGITTAL_MM))


def _outside(name: str, scanner: Scanner) -> Scanner:
    """What makes the two unseen sites unlike all others."""
    flair, t1w = scanner.flair, scanner.t1w
    if name == "unseen-1":
        return replace(
            scanner,
            flair=replace(flair, slice_mm=5.5, slice_axis=2, bias_field=0.25),
            t1w=replace(t1w, bias_field=0.2),
        )
    if name == "unseen-2":
        white = flair.contrast.white
        contrast = replace(
            flair.contrast, cortex=round(1.7 * white, 4), lesion=round(2.1 * white, 4)
        )
        return replace(
            scanner,
            flair=replace(flair, contrast=contrast, noise=0.16, gamma=1.7),
            t1w=replace(t1w, noise=0.16),
        )
    return scanner


_FLAIR = {
    "cortex": (1.08, 1.24),
    "lesion": (1.28, 1.5),
    "gamma": (0.8, 1.25),
    "texture": (0.4, 1.2),
    "glow": (0.6, 1.4),
    "bias_field": (0.02, 0.1),
    "noise": (0.015, 0.05),
    "in_plane_mm": (0.7, 1.1),
    "slice_mm": (1.0, 4.5),
    "truncation": (0.5, 1.0),
    "filter_mm": (0.0, 0.8),
    "ghost": (0.0, 0.08),
    "ghost_mm": (20.0, 60.0),
    "grain": (0.7, 1.8),
    "vessel": (0.2, 1.4),
    "vessels": (0.2, 0.9),
    "remnant": (0.4, 1.5),
}
_T1W = {
    "slice_mm": (1.0, 4.0),
    "truncation": (0.4, 1.0),
    "filter_mm": (0.0, 0.8),
    "ghost": (0.0, 0.04),
    "ghost_mm": (20.0, 60.0),
    "grain": (0.3, 1.0),
    "vessel": (0.2, 1.3),
    "vessels": (0.2, 0.7),
    "remnant": (0.3, 1.2),
}
"""Ranges of the training and validation sites, in place of those of `scanner`. All chosen, beside
real FLAIRs: `benchmarks/phantom_realism.py` measures how far they are from them. In real FLAIRs of
five sites nine tenths of the brain are darker than 1.15 to 1.21 times its median, all but a
hundredth darker than 1.31 to 1.37 times, and lesions are 1.3 to 1.4 times as bright as it."""
