"""Who takes part, and who of them is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from flwr.serverapp import Grid

from common.errors import ConfigError, QuorumNotMet
from server.run_folder import EnrolledSite

log = logging.getLogger(__name__)

POLL_S = 0.5


def quorum_of(n_sites: int, wanted: int | None) -> int:
    """Sites whose replies a round needs: as the recipe says, else all of up to three, else 2/3."""
    if wanted is None:
        return n_sites if n_sites <= 3 else -(-2 * n_sites // 3)
    if wanted > n_sites:
        raise ConfigError(f"federation.quorum: want at most the {n_sites} sites, got {wanted}")
    return wanted


def gather(
    grid: Grid,
    sites: Sequence[EnrolledSite],
    *,
    quorum: int,
    wait_s: float,
    not_awaited: Collection[str] = (),
) -> dict[str, int]:
    """Site name -> Flower's node id, for every enrolled site that is there.

    not_awaited   sites that have kept others waiting before: once the quorum is there, the round
                  begins without them
    Waits until all are there, at most `wait_s`; then goes on with those present, or raises
    QuorumNotMet, which names the missing. A site is known by its public key as Flower registered
    it, never by what the site says of itself.
    """
    deadline = time.monotonic() + wait_s
    while True:
        present = _present(grid, sites)
        missing = [site.name for site in sites if site.name not in present]
        enough = len(present) >= quorum and set(missing) <= set(not_awaited)
        if not missing or enough:
            return present
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_S)
    if len(present) < quorum:
        raise QuorumNotMet(
            f"after {wait_s:g} s {len(present)} of {len(sites)} sites are there and {quorum} are "
            f"needed. Missing: {', '.join(missing)}. Ask them to start their side, then --resume; "
            "or lower federation.quorum."
        )
    log.warning("going on without %s after %g s", ", ".join(missing), wait_s)
    return present


def _present(grid: Grid, sites: Sequence[EnrolledSite]) -> dict[str, int]:
    names = {_without_comment(site.public_key): site.name for site in sites}
    online = {_registered_key(node.public_key): node.node_id for node in grid.get_nodes()}
    return {name: online[key] for key, name in names.items() if key in online}


def _registered_key(public_key: bytes) -> str:
    """A node's key as in an OpenSSH .pub file; a SuperLink gives it as PEM."""
    if not public_key.startswith(b"-----BEGIN"):
        return public_key.decode(errors="replace")
    key = load_pem_public_key(public_key)
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _without_comment(public_key: str) -> str:
    return " ".join(public_key.split()[:2])
