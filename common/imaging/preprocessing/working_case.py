"""One case within the chain: each image on its own grid, with its move to the common space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.arrays import FloatArray
from common.imaging.orientation import upright
from common.imaging.volume import Volume


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WorkingImage:
    """An image on the grid it was acquired on, and where it belongs in the common space.

    volume      scanner grid, until the one resampling of the chain; upright, whatever the order it
                was stored in: it is turned as it is put in here
    to_common   (4, 4) float64, rigid: RAS+ world mm of the scanner -> RAS+ world mm of the common
                space; the identity until the image has been registered
    drawn_on    of a mask: the modality it belongs to and moves with; None where its grid tells

    Moves are composed, not applied: an image is interpolated once, whatever the chain.
    """

    volume: Volume
    to_common: FloatArray
    drawn_on: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "volume", upright(self.volume))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WorkingCase:
    """The images of one subject-session between two steps of the chain.

    images      modality -> image, in the recipe's channel order
    reference   the modality that defines the common space
    brain       bool, or None before the brain has been found; after the step cord the region near
                the centreline, which is looked at in the brain's place
    lesions     the reference's labels, or None without one
    raters      "lesionRater1" -> that rater's own mask, which goes where its grid tells, as the
                reference does
    centreline  the spinal cord's nodes, (n, 3) float64, n >= 2, RAS+ world mm of the reference's
                scanner; or None without a table of them
    cord        the spinal cord, bool, or None without a mask of it
    notes       what a step has to say, as the text of a finding
    """

    images: Mapping[str, WorkingImage]
    reference: str
    brain: WorkingImage | None = None
    lesions: WorkingImage | None = None
    centreline: FloatArray | None = None
    cord: WorkingImage | None = None
    raters: Mapping[str, WorkingImage] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
