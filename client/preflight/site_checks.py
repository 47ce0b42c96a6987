"""Everything a hospital looks at before its node runs."""

from __future__ import annotations

from collections.abc import Iterator

from client.preflight import kit as kit_check
from client.preflight import settings as settings_check
from client.preflight.running_node import running_node
from client.site.site import Site
from client.site.site_folder import SiteFolder
from common.membership.kit import Kit
from common.preflight import bandwidth, node_key
from common.preflight.check import Check, not_checked
from common.preflight.connection import connection
from common.preflight.coordinator import Coordinator
from common.preflight.device import device
from common.preflight.disk import disk, folder_size_bytes
from common.preflight.memory import memory
from common.preflight.packages import lock_digest, packages
from common.preflight.secret_files import secret_files
from common.preflight.steps import Step, taken
from common.preflight.update_size import update_size_bytes
from common.preflight.versions import versions
from common.recipe.recipe import Recipe

GROWTH = 6
"""Prepared images are float32 and not compressed; a folder of .nii.gz grows about so much."""
SPARE_BYTES = 1_000_000_000
PROGRAM_BYTES = 2_000_000_000
"""Memory of the SuperNode and one ClientApp with torch, before a network is in it."""
COPIES = 6
"""Of the network while it trains: weights, gradients, two moments, what came, what goes."""


def site_checks(folder: SiteFolder, *, recipe: Recipe | None) -> Iterator[Check]:
    """Each check as it is made: this site's files, its machine, the way to the coordinator.

    recipe   tells the size of an update, the device and the deadline; None leaves those out
    """
    settings, site = settings_check.settings(folder.settings_file)
    yield settings
    if site is not None:
        yield settings_check.data(site)
    yield secret_files([folder.key_file], made_by="lesionfed-site init")
    checked, kit = kit_check.kit(folder)
    yield checked
    yield packages()
    yield lock_digest()
    if kit is not None:
        yield versions(
            lesionfed_version=kit.lesionfed_version, digest=kit.code_digest, issued=kit.issued
        )
    update_bytes = None if recipe is None else update_size_bytes(recipe)
    yield from _machine(site, recipe, update_bytes or 0)
    yield running_node(folder)
    if kit is None:
        yield not_checked("connection", "the kit says where to")
    else:
        yield from taken(_way(folder, kit, recipe, update_bytes))


def _machine(site: Site | None, recipe: Recipe | None, update_bytes: int) -> Iterator[Check]:
    if site is not None:
        estimate = SPARE_BYTES + GROWTH * folder_size_bytes(site.data)
        yield disk(site.work, needed_bytes=estimate, purpose="prepared images")
    yield memory(needed_bytes=PROGRAM_BYTES + COPIES * update_bytes)
    if recipe is not None:
        yield device(recipe.compute)


def _way(
    folder: SiteFolder, kit: Kit, recipe: Recipe | None, update_bytes: int | None
) -> Iterator[Step]:
    coordinator = Coordinator(
        address=kit.address, port=kit.port, authority_file=folder.authority_file
    )
    yield from connection(coordinator)
    yield Step(node_key.NAME, lambda: node_key.node_key_accepted(coordinator, folder.key_file))
    deadline_s = None if recipe is None else recipe.federation.round_deadline_s
    yield Step(
        bandwidth.NAME,
        lambda: bandwidth.bandwidth(
            coordinator, update_bytes=update_bytes, round_deadline_s=deadline_s
        ),
    )
