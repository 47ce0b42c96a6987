"""The tables that the five papers print, to stand beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Paper = Literal[
    "galassi2019", "kamraoui2021", "fenneteau2021", "hussein2023", "aslani2020", "default"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What one paper reports.

    source   where it is
    rows     the paper's method -> one value for each column of our table for that paper; None where
             the paper has none
    """

    source: str
    rows: Mapping[str, tuple[float | None, ...]]


_NO_MEANS = (None, None, None, None)
"""Means and standard deviations, which Hussein et al. do not print."""

PUBLISHED: Mapping[Paper, Published] = {
    "galassi2019": Published(
        source="Galassi et al. 2019: 15 patients to train, 38 to test, four sites, one unseen",
        rows={
            "base": (0.541, 0.490, None, 0.280),
            "+ standardization": (0.583, 0.514, None, 0.516),
            "+ GDL": (0.602, 0.548, None, 0.534),
            "+ both": (0.624, 0.604, None, 0.614),
        },
    ),
    "hussein2023": Published(
        source="Hussein et al. 2023: 26 scans with a lesion and 46 without, unseen",
        rows={
            "BCE": (0.27, 0.33, *_NO_MEANS, 0.58, 0.24, None, None),
            "Dice (SCT)": (0.38, 0.39, *_NO_MEANS, 0.62, 0.33, None, None),
            "focal Tversky": (0.26, 0.31, *_NO_MEANS, 0.65, 0.22, None, None),
            "Tversky": (0.40, 0.41, *_NO_MEANS, 0.65, 0.26, None, None),
        },
    ),
    "aslani2020": Published(
        source="Aslani et al. 2020: 56 sites of one patient, five folds",
        rows={
            "BM": (0.454, 0.432, 0.338, 0.509),
            "BDM": (0.460, 0.582, 0.515, 0.458),
            "Pearson": (0.464, 0.427, 0.395, 0.487),
            "uniform": (0.489, 0.467, 0.353, 0.518),
            "random": (0.500, 0.462, 0.335, 0.519),
        },
    ),
}
"""Papers without results are absent: Kamraoui et al. 2021, Fenneteau et al. 2021."""
