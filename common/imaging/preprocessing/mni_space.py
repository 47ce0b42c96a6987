"""The rigid move of a head into MNI space; its size stays."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from common.imaging.grid import Grid, nearest_onto
from common.imaging.preprocessing.rigid_registration import RigidMove, rigid_move
from common.imaging.volume import Volume

MARGIN_MM = 8
"""Compared around the template's brain too, so that the edge of the brain counts (chosen)."""


def mni_registration(image: Volume, brain: Volume | None = None, *, seed: int = 0) -> RigidMove:
    """The registration of a head to the MNI152 template: a turn and a shift, no scaling.

    image   T1w, FLAIR or another contrast that shows the brain
    brain   bool, in the world of `image`, on any grid; None for a stripped image, and for a whole
            head where no brain has been found

    Source  the ICBM152 2009a symmetric T1w template, skull-stripped, that nilearn brings along;
            nothing is downloaded. Rigid as in Aslani et al. 2020.
    """
    template, around = _template()
    if brain is not None:
        inside = nearest_onto(Grid.of(image).filled(0), brain).data > 0
        image = Volume(np.where(inside, image.data, 0).astype(np.float32), image.affine)
    return rigid_move(template, image, fixed_mask=around, seed=seed)


def mni_grid() -> Grid:
    """The 1 mm grid of the bundled MNI152 template, 197 x 233 x 189."""
    return Grid.of(_template()[0])


@cache
def _template() -> tuple[Volume, Volume]:
    """The template, skull-stripped, and the brain with a margin, both read-only."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template  # slow to import

    image = load_mni152_template(resolution=1)
    affine = np.asarray(image.affine, dtype=np.float64)
    template = np.asarray(image.dataobj, dtype=np.float32)
    brain = np.asarray(load_mni152_brain_mask(resolution=1).dataobj) > 0
    around = ndimage.distance_transform_edt(~brain) <= MARGIN_MM
    for array in (template, around, affine):
        array.flags.writeable = False
    return Volume(template, affine), Volume(around, affine)
