"""Everything a hospital checks before its node runs."""

from __future__ import annotations

from collections.abc import Iterator

from client.preflight import site_files
from client.site.settings import Site
from client.site.site_folder import SiteFolder
from common.membership.kit import Kit
from common.preflight import machine
from common.preflight.bandwidth import BANDWIDTH, bandwidth, update_size_bytes
from common.preflight.check import CheckResult, Step, not_checked, run_steps
from common.preflight.coordinator import Coordinator
from common.preflight.network import connection
from common.preflight.node_key import NODE_KEY, node_key_accepted
from common.recipe.recipe import Recipe

GROWTH = 6
"""Prepared images are float32 and not compressed; a folder of .nii.gz grows about so much."""
SPARE_BYTES = 1_000_000_000
PROGRAM_BYTES = 2_000_000_000
"""Memory of the SuperNode and one ClientApp with torch, before a network is in it."""
COPIES = 6
"""Of the network while it trains: weights, gradients, two moments, what came in, what goes out."""


def site_checks(folder: SiteFolder, *, recipe: Recipe | None) -> Iterator[CheckResult]:
    """Each check as it is made: this site's files, its machine, the connection to the coordinator.

    recipe   gives the size of an update, the device and the deadline; None leaves those out
    """
    settings, site = site_files.settings(folder.settings_file)
    yield settings
    if site is not None:
        yield site_files.data(site)
    yield machine.secret_files([folder.key_file], made_by="lesionfed-site init")
    joined, kit = site_files.kit(folder)
    yield joined
    yield machine.packages()
    yield machine.open_files()
    yield machine.lock_digest()
    if kit is not None:
        yield machine.versions(
            lesionfed_version=kit.lesionfed_version, digest=kit.code_digest, issued=kit.issued
        )
    update_bytes = None if recipe is None else update_size_bytes(recipe)
    yield from _machine(site, recipe, update_bytes or 0)
    yield site_files.running_node(folder)
    if kit is None:
        yield not_checked("connection", "the kit has the address")
    else:
        yield from run_steps(_connection_steps(folder, kit, recipe, update_bytes))


def _machine(site: Site | None, recipe: Recipe | None, update_bytes: int) -> Iterator[CheckResult]:
    if site is not None:
        estimate = SPARE_BYTES + GROWTH * machine.folder_size_bytes(site.data)
        yield machine.disk(site.work, needed_bytes=estimate, purpose="prepared images")
    yield machine.memory(needed_bytes=PROGRAM_BYTES + COPIES * update_bytes)
    if recipe is not None:
        yield machine.device(recipe.compute)


def _connection_steps(
    folder: SiteFolder, kit: Kit, recipe: Recipe | None, update_bytes: int | None
) -> Iterator[Step]:
    coordinator = Coordinator(
        address=kit.address, port=kit.port, authority_file=folder.authority_file
    )
    yield from connection(coordinator)
    yield Step(NODE_KEY, lambda: node_key_accepted(coordinator, folder.key_file))
    deadline_s = None if recipe is None else recipe.federation.round_deadline_s
    yield Step(
        BANDWIDTH,
        lambda: bandwidth(coordinator, update_bytes=update_bytes, round_deadline_s=deadline_s),
    )
