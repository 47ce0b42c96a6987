"""Which site a patch is from, by a linear discriminant on its latent features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, IndexArray

SHRINKAGE = 0.1
"""Share of the identity in the covariance, in units of a feature's total variance (chosen)."""

HALVES = ("first", "second")
"""Of a site's subjects: a discriminant is fitted on one and used on the other."""

SMALLEST_SPREAD = 1e-6
"""A feature whose standard deviation is a smaller share of its mean is constant: features are
float32, and what is left is rounding. A mean below it counts as 1e-6."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureMoments:
    """What the discriminant is fitted on.

    means      (K, F), the mean of each site's features
    scatter    (F, F), sum over all patches of the outer product of their distance from the mean of
               their own site
    n_patches  patches in all; more than K
    """

    means: FloatArray
    scatter: FloatArray
    n_patches: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteDiscriminant:
    """One linear score a site; the highest names the site.

    weights   (K, F)
    offsets   (K,)
    """

    weights: FloatArray
    offsets: FloatArray

    def attribute(self, features: npt.NDArray[np.floating]) -> IndexArray:
        """The row of the site with the highest score, (...); the first of equal ones.

        features   (..., F)
        """
        scores = features.astype(np.float64) @ self.weights.T + self.offsets
        rows: IndexArray = np.argmax(scores, axis=-1)
        return rows


def fit_discriminant(moments: FeatureMoments) -> SiteDiscriminant:
    """Fisher's linear discriminant with equal priors.

    Features that are constant over all sites get no weight. The others are scaled to a total
    variance of 1 (within sites, and of the sites' means); in these units the covariance within
    sites is shrunk by SHRINKAGE towards the identity, so it can be inverted also where patches are
    fewer than features, and where a feature varies between sites alone.
    Source  Friedman 1989, J Am Stat Assoc 84, regularized discriminant analysis, on one covariance
            for all classes. Chosen: a fixed shrinkage, so that two networks are probed alike.
    """
    means = moments.means
    n_sites, n_features = means.shape
    within = moments.scatter / (moments.n_patches - n_sites)
    centre = means.mean(axis=0)
    spread = np.sqrt(np.diag(within) + np.square(means - centre).mean(axis=0))
    varies = spread > SMALLEST_SPREAD * np.maximum(np.abs(centre), SMALLEST_SPREAD)
    scale = np.where(varies, spread, 1.0)
    scaled = np.where(varies, (means - centre) / scale, 0.0)
    covariance = within / np.outer(scale, scale) * np.outer(varies, varies)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(n_features)
    directions = np.linalg.solve(shrunk, scaled.T).T
    weights = directions / scale
    offsets = -0.5 * np.sum(directions * scaled, axis=1) - weights @ centre
    return SiteDiscriminant(weights=weights, offsets=offsets)
