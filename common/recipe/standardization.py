"""How intensities of different scanners become comparable."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Literal

from pydantic import Field

from common.settings import Settings


class Standardization(Settings):
    """How intensities of different scanners become comparable."""

    method: Literal["two-step", "nyul", "z-score", "none"]
    """two-step: k-means to the consortium's template, then z-score (Galassi 2019); nyul: 13
    percentiles to the consortium's standard, then z-score (Fenneteau 2021)."""
    map: Literal["piecewise", "smooth", "line"] = "piecewise"
    """two-step: how the three class centres are mapped to the template's. piecewise: straight
    from centre to centre; smooth: along a parabola; line: one line for all three.
    The paper names k-means standardization and no more: all three are our readings of it."""
    template_from: Literal["all", "controls", "fixed"] = "all"
    """Whose images make the template: everyone's, healthy participants', or `template` below."""
    template: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """The fixed template: for each modality 3 relative class centres (two-step) or 13 landmarks
    (nyul), rising."""

    @property
    def n_landmarks(self) -> int:
        """Numbers of each modality in the template; 0 where the method needs none."""
        return {"two-step": 3, "nyul": 13}.get(self.method, 0)

    @property
    def learns_template(self) -> bool:
        """Whether the sites are asked for sums from which the template is made."""
        return self.n_landmarks > 0 and self.template_from != "fixed"

    def check_template(self, modalities: Collection[str]) -> None:
        """Nothing, or ValueError where a fixed template is not one for these modalities."""
        fixed = self.n_landmarks > 0 and self.template_from == "fixed"
        wanted = sorted(modalities) if fixed else []
        if wanted != sorted(self.template):
            raise ValueError(
                f"standardization.template must name {wanted} with method {self.method!r} and "
                f"template_from {self.template_from!r}, got {sorted(self.template)}"
            )
        for modality, landmarks in self.template.items():
            if len(landmarks) != self.n_landmarks:
                raise ValueError(
                    f"standardization.template.{modality} must have {self.n_landmarks} numbers "
                    f"with method {self.method!r}, got {len(landmarks)}"
                )
            if any(low >= high for low, high in pairwise(landmarks)):
                raise ValueError(
                    f"standardization.template.{modality} must rise from landmark to landmark, "
                    f"got {landmarks}"
                )
