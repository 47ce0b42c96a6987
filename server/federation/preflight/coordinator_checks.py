"""Everything a coordinator looks at before a run."""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import ConfigError
from common.preflight.check import Check, passed, problem
from common.preflight.connection import connection
from common.preflight.coordinator import Coordinator
from common.preflight.device import device
from common.preflight.disk import disk
from common.preflight.health import grpc_health
from common.preflight.memory import memory
from common.preflight.packages import lock_digest, packages
from common.preflight.secret_files import secret_files
from common.preflight.steps import Step, taken
from common.preflight.update_size import update_size_bytes
from common.recipe.recipe import Recipe
from server.aggregation.registry import AGGREGATIONS
from server.federation.federation_folder import FederationFolder, FederationSettings
from server.federation.preflight import certificates
from server.federation.preflight import members as members_check
from server.federation.preflight.message_size import message_size

SETTINGS = "federation settings"

SPARE_BYTES = 1_000_000_000
PROGRAM_BYTES = 2_000_000_000
"""Memory of SuperLink, SuperExec and one ServerApp with torch, before a network is in it."""
CHECKPOINTS = 3
"""Two are kept while a third is written."""
IN_FLIGHT = 2
"""Copies of an update that the SuperLink may hold for each site: the one sent, the one returned."""
COPIES = 2
"""Of the network in the ServerApp beside the aggregate: the parameters, the reply at hand."""


def coordinator_checks(folder: FederationFolder, *, recipe: Recipe | None) -> Iterator[Check]:
    """Each check as it is made: this federation's files, this machine, what sites will reach.

    recipe   tells the size of an update and the device; None leaves those out
    """
    secrets = [folder.authority_key_file, folder.certificate_key_file, folder.executor_secret_file]
    yield secret_files(secrets, made_by="lesionfed provision")
    yield packages()
    yield lock_digest()
    try:
        settings = folder.settings()
        enrolled = folder.members()
    except (ConfigError, OSError) as error:
        yield problem(SETTINGS, str(error), "Mend the file; everything else stands behind it.")
        return
    yield passed(SETTINGS, f"{settings.name} at {settings.address}:{settings.port}")
    yield members_check.members(settings, enrolled)
    yield certificates.certificates(folder, settings.address)
    yield from _machine(folder, settings, recipe)
    if recipe is not None:
        yield message_size(recipe, largest_message_mb=settings.largest_message_mb)
    yield grpc_health(
        "SuperLink", port=settings.health_port, fix="Start it: lesionfed serve; read superlink.log."
    )
    yield from taken(_way(folder, settings))


def _machine(
    folder: FederationFolder, settings: FederationSettings, recipe: Recipe | None
) -> Iterator[Check]:
    update_bytes = 0 if recipe is None else update_size_bytes(recipe)
    in_flight_bytes = IN_FLIGHT * len(settings.sites) * update_bytes
    needed_bytes = SPARE_BYTES + CHECKPOINTS * update_bytes + in_flight_bytes
    yield disk(folder.runs, needed_bytes=needed_bytes, purpose="checkpoints and messages")
    rule = AGGREGATIONS["weighted-mean" if recipe is None else recipe.federation.aggregation]
    copies = COPIES + rule.copies_held(len(settings.sites))
    yield memory(needed_bytes=PROGRAM_BYTES + copies * update_bytes + in_flight_bytes)
    if recipe is not None:
        yield device(recipe.compute)


def _way(folder: FederationFolder, settings: FederationSettings) -> Iterator[Step]:
    """As a site goes it, from here; the clock is the server's own."""
    coordinator = Coordinator(
        address=settings.address, port=settings.port, authority_file=folder.authority_file
    )
    yield from connection(coordinator)
    yield Step(certificates.SERVED, lambda: certificates.certificate_served(folder, coordinator))
