"""Whether the planned sites have enrolled."""

from __future__ import annotations

from common.preflight.check import CheckResult, passed, problem, warning
from server.federation.federation_folder import FederationSettings
from server.federation.members import Members

MEMBERS = "members"
AWAY = ("suspended", "removed")


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
