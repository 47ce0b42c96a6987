"""Published ways to say what a lesion is and when it counts as found."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from common.errors import ConfigError

Connectivity = Literal[6, 18, 26]
Matching = Literal["msseg", "any_overlap"]
_SHARES = ("alpha", "beta", "gamma")


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionDefinition:
    """What a lesion is, and when it counts as found; printed in every report.

    name            the preset, or the name of a user's own definition
    connectivity    6 joins voxels over faces, 18 over edges too, 26 over corners too
    min_volume_mm3  a lesion is larger than this; 0 keeps every component
    matching        msseg: the rule in `common/metrics/detection.py`;
                    any_overlap: one shared voxel is enough
    alpha           msseg only: the part of a lesion that is covered must be above this share
    beta            msseg only: of a lesion that covers it, no more than this share may lie outside
    gamma           msseg only: covering lesions are visited until they explain this share
    """

    name: str
    connectivity: Connectivity
    min_volume_mm3: float
    matching: Matching
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None

    def __post_init__(self) -> None:
        if self.connectivity not in (6, 18, 26):
            raise ConfigError(
                f"{self.name}: connectivity: want 6, 18 or 26, got {self.connectivity!r}"
            )
        if not 0 <= self.min_volume_mm3 < float("inf"):
            raise ConfigError(
                f"{self.name}: min_volume_mm3: want 0 or more, got {self.min_volume_mm3!r}"
            )
        if self.matching not in ("msseg", "any_overlap"):
            raise ConfigError(
                f"{self.name}: matching: want msseg or any_overlap, got {self.matching!r}"
            )
        for key in _SHARES:
            share = getattr(self, key)
            if self.matching == "any_overlap":
                if share is not None:
                    raise ConfigError(
                        f"{self.name}: {key}: only matching msseg has it, got {share!r} with "
                        "any_overlap. Leave it out, or set matching to msseg."
                    )
            elif share is None or not 0 <= share <= 1:
                raise ConfigError(f"{self.name}: {key}: want a share from 0 to 1, got {share!r}")

    def __str__(self) -> str:
        size = f"above {self.min_volume_mm3:g} mm3" if self.min_volume_mm3 else "of any size"
        shares = [f"{key} {getattr(self, key):g}" for key in _SHARES if self.matching == "msseg"]
        return (
            f"{self.name}: {self.connectivity}-connectivity, lesions {size}, "
            f"{self.matching} matching" + (f" ({', '.join(shares)})" if shares else "")
        )

    def as_dict(self) -> dict[str, Any]:
        """Every field by its name, ready for JSON; None is what the matching does not have."""
        return dataclasses.asdict(self)


MSSEG2016 = LesionDefinition(
    name="msseg2016",
    connectivity=6,
    min_volume_mm3=3.0,
    matching="msseg",
    alpha=0.10,
    beta=0.70,
    gamma=0.65,
)
"""The challenge of 2016 as its evaluation tool works; the text of the paper
(Commowick et al. 2018, doi:10.1038/s41598-018-31911-7) says 18-connectivity, the tool uses 6."""

MSSEG2 = dataclasses.replace(MSSEG2016, name="msseg2")
"""The challenge of 2021 on new lesions: the same tool and rule, so the same numbers for a case.
What differs is the masks, which hold new lesions only, and the set: a patient without new lesions
is scored by the count and volume of false ones, apart from the mean F1."""

ISBI2015 = LesionDefinition(
    name="isbi2015", connectivity=18, min_volume_mm3=0.0, matching="any_overlap"
)
"""The longitudinal challenge of 2015 (Carass et al. 2017, doi:10.1016/j.neuroimage.2016.12.064);
Aslani et al. 2020 report by it as well."""

KAMRAOUI = dataclasses.replace(ISBI2015, name="kamraoui")
"""Kamraoui et al. 2021: lesion F1 of LTPR and LPPV, both by any overlap. The paper names neither
connectivity nor smallest lesion; chosen: those of isbi2015, whose LTPR it takes up."""

HUSSEIN = dataclasses.replace(ISBI2015, name="hussein")
"""Hussein et al. 2023: L-F1, V-F1 (Dice), and sensitivity and specificity over whole scans. The
paper defines none of them further; chosen: any overlap as in isbi2015, every component counts, so
a lesion-free scan with a single predicted voxel is a false alarm."""

PRESETS = {
    definition.name: definition for definition in (MSSEG2016, MSSEG2, ISBI2015, KAMRAOUI, HUSSEIN)
}
"""Name -> definition, for the command line and the recipe."""


def preset(name: str) -> LesionDefinition:
    """The published definition called `name`; ConfigError lists the names there are."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"preset: want one of {', '.join(PRESETS)}, got {name!r}") from None
