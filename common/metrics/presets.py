"""Published ways to say what a lesion is and when it counts as found."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from common.errors import ConfigError

Connectivity = Literal[6, 18, 26]
Matching = Literal["msseg"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionDefinition:
    """What a lesion is, and when it counts as found; every report prints it.

    name            the preset, or what the user calls a definition of their own
    connectivity    6 joins voxels over faces, 18 over edges too, 26 over corners too
    min_volume_mm3  a lesion is larger than this; 0 keeps every component
    matching        msseg: the rule in `common/metrics/lesion.py`
    alpha           msseg: the part of a lesion that is covered must be above this share
    beta            msseg: of a lesion that covers it, no more than this share may lie outside
    gamma           msseg: covering lesions are looked at until they explain this share
    """

    name: str
    connectivity: Connectivity
    min_volume_mm3: float
    matching: Matching
    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        if self.connectivity not in (6, 18, 26):
            raise ConfigError(
                f"{self.name}: connectivity: want 6, 18 or 26, got {self.connectivity!r}"
            )
        if not 0 <= self.min_volume_mm3 < float("inf"):
            raise ConfigError(
                f"{self.name}: min_volume_mm3: want 0 or more, got {self.min_volume_mm3!r}"
            )
        for key in ("alpha", "beta", "gamma"):
            if not 0 <= (share := getattr(self, key)) <= 1:
                raise ConfigError(f"{self.name}: {key}: want a share from 0 to 1, got {share!r}")

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.connectivity}-connectivity, lesions above "
            f"{self.min_volume_mm3:g} mm3, {self.matching} matching (alpha {self.alpha:g}, "
            f"beta {self.beta:g}, gamma {self.gamma:g})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Every field by its name, ready for JSON."""
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

PRESETS = {definition.name: definition for definition in (MSSEG2016,)}
"""Name -> definition, for the command line and the recipe."""


def preset(name: str) -> LesionDefinition:
    """The published definition called `name`; ConfigError lists the names there are."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"preset: want one of {', '.join(PRESETS)}, got {name!r}") from None
