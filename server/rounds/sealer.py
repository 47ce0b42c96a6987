"""Puts every request of one sitting under a seal, in order."""

from __future__ import annotations

import itertools

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.membership.requests_key import read_requests_key, sealed
from common.wire.codec import Packed
from common.wire.messages import Assignment
from common.wire.seal import Seal, digests
from server.federation.federation_folder import FederationFolder
from server.run.run_folder import Consortium


def requests_key_of(consortium: Consortium) -> Ed25519PrivateKey | None:
    """What requests are signed with: the key of the federation that has the members.

    None in a simulation, which has no federation's folder.
    """
    if consortium.members_file is None:
        return None
    federation = FederationFolder(consortium.members_file.parent)
    return read_requests_key(federation.requests_key_file)


class Sealer:
    """Seals requests, each with a larger number than the one before.

    sitting   of this start of the run: larger than that of every start before
    key       the federation's; None in the inline engine alone
    """

    def __init__(self, *, sitting: int, key: Ed25519PrivateKey | None = None) -> None:
        self._sitting = sitting
        self._key = key
        self._numbers = itertools.count(1)

    def seal(self, packed: Packed, assignment: Assignment) -> Packed:
        """The request under its seal."""
        seal = Seal(
            run=assignment.run,
            site=assignment.site,
            phase=assignment.phase,
            round_index=assignment.round_index,
            exchange_id=assignment.exchange_id,
            sitting=self._sitting,
            number=next(self._numbers),
            **digests(packed),
        )
        return sealed(packed, seal, key=self._key)
