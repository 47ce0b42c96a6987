"""What a site with a role is asked for, and nothing else: the role stands in its signed kit."""

from __future__ import annotations

from collections.abc import Mapping

from client.site.membership import kit_in
from client.site.site_folder import SiteFolder
from common.errors import PolicyRefused
from common.wire.messages import Request, StatisticsRequest, ThresholdRequest

ALLOWED: Mapping[str, type[StatisticsRequest] | type[ThresholdRequest]] = {
    "statistics": StatisticsRequest,
    "evaluate": ThresholdRequest,
}
"""Role -> what it answers; a site that trains answers everything."""


def require_role(request: Request, folder: SiteFolder) -> None:
    """Nothing, or PolicyRefused where the kit in `folder` gives a role that does not do this.

    A site enrolled to score never trains, whatever the coordinator's settings say later. Nothing
    too where there is no kit, as in the inline engine.
    """
    if not folder.kit_file.exists():
        return
    kit = kit_in(folder)
    allowed = ALLOWED.get(kit.role)
    if allowed is not None and not isinstance(request, allowed):
        raise PolicyRefused(
            f"{folder.kit_file}: this site was enrolled for the role {kit.role!r}, and a "
            f"{type(request).__name__} came. If the hospital agrees to another role, it enrols "
            "again and joins with the new kit.",
            code="other-role",
        )
