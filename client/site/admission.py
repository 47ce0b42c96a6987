"""Whether a request is to be looked at: who sent it, for whom it is, whether it is its turn.

One function without Flower. The ClientApp calls it before anything else.
"""

from __future__ import annotations

from client.site.request_order import RequestOrder
from client.site.settings import Site
from common.errors import WireError
from common.membership.kit import Kit
from common.membership.requests_key import opened_seal
from common.wire.codec import Packed
from common.wire.seal import Seal


def admit(packed: Packed, *, site: Site, kit: Kit | None) -> Seal:
    """The seal of a request that this site is to answer, which is spent from now on.

    kit   names the key that requests are signed with; None in the inline engine alone

    WireError where the coordinator of the kit did not sign it, it was changed since, it is for
    another site, or it comes twice or out of order. Nothing of the request is decoded before.
    """
    seal = opened_seal(packed, requests_key=None if kit is None else kit.requests_key)
    if seal.site != site.name:
        raise WireError(
            f"the request is for {seal.site!r:.200}, and this site is {site.name!r}. Compare "
            "the name in site.toml with the one that the coordinator enrolled.",
            code="wrong-site",
        )
    RequestOrder(site.work / "answered").begin(seal)
    return seal
