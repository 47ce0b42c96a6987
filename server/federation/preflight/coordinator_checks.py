"""Everything a coordinator checks before a run."""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import ConfigError
from common.preflight import machine
from common.preflight.bandwidth import update_size_bytes
from common.preflight.check import CheckResult, Step, passed, problem, run_steps, warning
from common.preflight.coordinator import Coordinator
from common.preflight.health import grpc_health
from common.preflight.network import connection
from common.recipe.recipe import Recipe
from server.aggregation.registry import AGGREGATIONS
from server.federation.federation_folder import FederationFolder, FederationSettings
from server.federation.members import Members
from server.federation.preflight.certificates import SERVED, certificate_served, certificates

MEMBERS = "members"
AWAY = ("suspended", "removed")

SETTINGS = "federation settings"

SPARE_BYTES = 1_000_000_000
PROGRAM_BYTES = 2_000_000_000
"""Memory of SuperLink, SuperExec and one ServerApp with torch, before a network is in it."""
CHECKPOINTS = 3
"""Two are kept while a third is written."""
IN_FLIGHT = 2
"""Copies of an update that the SuperLink may hold for each site: the one sent, the one returned."""
COPIES = 6
"""Of the network in the ServerApp beside the aggregate: the parameters, the reply at hand, two for
its float64 copy while it is added, and the two replies of a first round that wait for a third."""


def coordinator_checks(folder: FederationFolder, *, recipe: Recipe | None) -> Iterator[CheckResult]:
    """Each check as it is made: this federation's files, this machine, what sites will reach.

    recipe   gives the size of an update and the device; None leaves those out
    """
    secrets = [
        folder.authority_key_file,
        folder.certificate_key_file,
        folder.executor_secret_file,
        folder.requests_key_file,
    ]
    yield machine.secret_files(secrets, made_by="lesionfed provision")
    yield machine.packages()
    yield machine.open_files()
    yield machine.lock_digest()
    try:
        settings = folder.settings()
        members = folder.members()
    except (ConfigError, OSError) as error:
        yield problem(SETTINGS, str(error), "Correct the file; everything else depends on it.")
        return
    yield passed(SETTINGS, f"{settings.name} at {settings.address}:{settings.port}")
    yield enrolled_as_planned(settings, members)
    yield certificates(folder, settings.address)
    yield from _machine(folder, settings, recipe)
    yield grpc_health(
        "SuperLink", port=settings.health_port, fix="Start it: lesionfed serve; read superlink.log."
    )
    yield from run_steps(_connection_steps(folder, settings))


def enrolled_as_planned(settings: FederationSettings, members: Members) -> CheckResult:
    """A problem where no training site is active; a warning where planned and enrolled differ."""
    planned = {site.name: site.role for site in settings.sites}
    states = {member.site: member.state for member in members.members}
    active = [name for name in planned if states.get(name) == "active"]
    if not any(planned[name] == "train" for name in active):
        return problem(
            MEMBERS,
            f"none of {len(planned)} planned sites is active and trains",
            "Enrol them: each site sends its request, then lesionfed enrol REQUEST.",
        )
    odd = [f"{name} has not enrolled" for name in planned if name not in states]
    odd += [f"{name} is {states[name]}" for name in planned if states.get(name, "") in AWAY]
    odd += [
        f"{name} is enrolled and not planned"
        for name, state in states.items()
        if name not in planned and state == "active"
    ]
    if odd:
        return warning(
            MEMBERS,
            "; ".join(odd),
            "A run starts without them. Enrol or restore them, or bring `sites` in "
            "federation.toml up to date.",
        )
    return passed(MEMBERS, f"all {len(active)} planned sites are enrolled and active")


def _machine(
    folder: FederationFolder, settings: FederationSettings, recipe: Recipe | None
) -> Iterator[CheckResult]:
    update_bytes = 0 if recipe is None else update_size_bytes(recipe)
    in_flight_bytes = IN_FLIGHT * len(settings.sites) * update_bytes
    needed_bytes = SPARE_BYTES + CHECKPOINTS * update_bytes + in_flight_bytes
    yield machine.disk(folder.runs, needed_bytes=needed_bytes, purpose="checkpoints and messages")
    rule = AGGREGATIONS["weighted-mean" if recipe is None else recipe.federation.aggregation]
    copies = COPIES + rule.copies_held(
        len(settings.sites),
        largest_share=None if recipe is None else recipe.federation.largest_share,
    )
    yield machine.memory(needed_bytes=PROGRAM_BYTES + copies * update_bytes + in_flight_bytes)
    if recipe is not None:
        yield machine.device(recipe.compute)


def _connection_steps(folder: FederationFolder, settings: FederationSettings) -> Iterator[Step]:
    """A site's own steps, made from here; the clock compared is this machine's with itself."""
    coordinator = Coordinator(
        address=settings.address, port=settings.port, authority_file=folder.authority_file
    )
    yield from connection(coordinator)
    yield Step(SERVED, lambda: certificate_served(folder, coordinator))
