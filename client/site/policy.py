"""What may leave this hospital; set by the hospital, never by the coordinator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from common.errors import PolicyRefused
from common.settings import Settings


class Policy(Settings):
    """The hospital's own limits."""

    min_subjects: Annotated[int, Field(ge=1)] = 5
    """Fewest subjects whose landmarks, or scores by threshold, may leave, summed."""
    recipes: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    """Digests (SHA-256) of the recipes that the hospital has approved, as `lesionfed recipes`
    prints them; empty: any recipe."""

    def allows(self, n_subjects: int) -> bool:
        """Whether sums over so many subjects may leave; a sum over no subject may."""
        return n_subjects == 0 or n_subjects >= self.min_subjects

    def require_approved(self, digest: str) -> None:
        """Nothing, or PolicyRefused where the hospital has approved recipes and not this one."""
        if self.recipes and digest not in self.recipes:
            raise PolicyRefused(
                f"the recipe that came has the digest {digest}, and the policy of this site "
                f"approves {', '.join(f'{known[:12]}...' for known in self.recipes)} (recipes). "
                "Read the recipe, and add its digest if the hospital agrees.",
                code="recipe-not-approved",
            )

    def require_enough_subjects(self, n_subjects: int) -> None:
        """Nothing, or PolicyRefused where sums over so few subjects may not leave; 0 may."""
        if not self.allows(n_subjects):
            raise PolicyRefused(
                f"sums would leave that come from {n_subjects} subjects, and the policy of this "
                f"site wants at least {self.min_subjects} (min_subjects). "
                "Add subjects, or change the policy if the hospital agrees.",
                code="too-few-subjects",
            )
