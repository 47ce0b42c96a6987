"""The network that has learned the lesion-wise F1, stored at the site for the whole run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import safetensors.numpy

from client.phases.newest_files import remove_older_than
from client.site.settings import Site
from common.errors import SiteDataError
from common.files import write_whole
from common.learning.lesion_wise.lesion_wise_loss import frozen_metric_network
from common.learning.lesion_wise.metric_network import MetricNetwork
from common.recipe.recipe import Recipe
from common.wire.messages import LesionMetricKept, LesionMetricRequest


def store_lesion_metric(
    request: LesionMetricRequest, recipe: Recipe, site: Site
) -> LesionMetricKept:
    """The digest under which the network now lies on the site's disk."""
    _frozen(request.parameters, recipe)  # refused here, not a round later
    content = safetensors.numpy.save(request.parameters)
    digest = hashlib.sha256(content).hexdigest()
    path = _file(site, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    remove_older_than(path)
    return LesionMetricKept(digest=digest)


def stored_lesion_metric(digest: str, recipe: Recipe, site: Site) -> MetricNetwork:
    """The frozen network that was stored; SiteDataError where it is not there, or not whole."""
    try:
        content = _file(site, digest).read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise SiteDataError(
            f"{_file(site, digest)}: the network of loss.lesion_wise is not there as it was given "
            "to this site before the first round. A site that was absent then, or whose work "
            "folder was emptied, is given it again before the next round.",
            code="no-lesion-metric",
        )
    return _frozen(safetensors.numpy.load(content), recipe)


def _frozen(parameters: Mapping[str, npt.NDArray[Any]], recipe: Recipe) -> MetricNetwork:
    settings = recipe.loss.lesion_wise
    if settings is None:
        raise SiteDataError(
            "the recipe has no loss.lesion_wise, and the coordinator speaks of its network",
            code="no-lesion-metric",
        )
    return frozen_metric_network(settings, parameters, patch_shape=recipe.sampling.patch_shape)


def _file(site: Site, digest: str) -> Path:
    return site.work / "lesion-metric" / f"{digest}.safetensors"
