"""The running SuperLink's list of node keys, kept the same as `members.json`.

Flower 1.41 never takes a key again that was unregistered (its database keeps the row, and keys in
it are unique). So a suspended site stays registered and the round's roster, which reads
`members.json`, leaves it out; only a site that is removed, or a key that was replaced, is
unregistered, for good. Both stand in `members.json`: a key that is merely not there, as after an
older copy was restored, stays registered, and the roster does not ask it.
"""

from __future__ import annotations

import logging
import socket
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from common.errors import ConfigError
from common.files import SECRET, write_whole
from common.membership.node_key import fingerprint, public_line
from server.federation.federation_folder import FederationFolder, FederationSettings
from server.federation.members import changing
from server.flower.flower import LOOPBACK, flwr

log = logging.getLogger(__name__)

CONNECTION = "federation"
"""What Flower's own configuration calls the SuperLink of this folder."""
CONNECT_S = 2.0
UNREGISTERED = "unregistered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """What was done so that Flower's list is ours.

    running        whether a SuperLink was there; where not, nothing was done
    registered     sites whose key Flower did not know
    unregistered   how many keys were taken out, of sites removed or replaced
    refused        active sites whose key Flower will not take again: they need a new one
    """

    running: bool
    registered: tuple[str, ...] = ()
    unregistered: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Node:
    id: int
    status: str


def write_connection(folder: FederationFolder, settings: FederationSettings) -> None:
    """Says in Flower's own configuration where this federation's SuperLink is."""
    connection = {
        "address": f"{LOOPBACK}:{settings.superlink_port}",
        "root-certificates": str(folder.authority_file.resolve()),
    }
    table = {"superlink": {"default": CONNECTION, CONNECTION: connection}}
    folder.flwr_home.mkdir(parents=True, exist_ok=True)
    write_whole(folder.flwr_home / "config.toml", tomli_w.dumps(table).encode(), mode=SECRET)


def reconcile(folder: FederationFolder) -> Reconciled:
    """What was registered and unregistered; nothing where no SuperLink is running.

    FlowerError where Flower's command fails; ConfigError where members.json is gone and Flower
    knows keys already.
    """
    settings = folder.settings()
    if not _listens(settings.superlink_port):
        return Reconciled(running=False)
    with changing(folder.members_file):
        return _reconcile(folder, settings)


def _reconcile(folder: FederationFolder, settings: FederationSettings) -> Reconciled:
    write_connection(folder, settings)
    nodes = _nodes(folder.database_file)
    if nodes and not folder.members_file.exists():
        raise ConfigError(
            f"{folder.members_file}: no such file, and the SuperLink knows {len(nodes)} keys. "
            "Restore it from its backup."
        )
    members = folder.members()
    registered, refused, n_unregistered = list[str](), list[str](), 0
    for site, key in members.active_keys().items():
        node = nodes.get(key)
        if node is None:
            _register(folder, site, key)
            registered.append(site)
        elif node.status == UNREGISTERED:
            refused.append(site)
    ended = members.ended_keys()
    known = ended | {member.public_key for member in members.members}
    for key, node in nodes.items():
        if node.status == UNREGISTERED:
            continue
        if key in ended:
            flwr(folder, "supernode", "unregister", str(node.id), CONNECTION)
            n_unregistered += 1
        elif key not in known:
            log.warning(
                "Flower knows the key %s, which %s does not; it stays, and no round asks it. Was "
                "an older copy restored? Let its site enrol again",
                fingerprint(key),
                folder.members_file,
            )
    if refused:
        log.warning(
            "Flower will not take the key of %s again: let the site make a new one "
            "(lesionfed-site init in a new folder) and enrol it with --replace",
            ", ".join(refused),
        )
    return Reconciled(
        running=True,
        registered=tuple(registered),
        unregistered=n_unregistered,
        refused=tuple(refused),
    )


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=CONNECT_S):
            return True
    except OSError:
        return False


def _nodes(database: Path) -> dict[str, _Node]:
    """Public key -> node, of every key the SuperLink has ever been told.

    Read from its database, since `flwr supernode ls` names no keys.
    """
    if not database.exists():
        return {}
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as open_:
        rows = open_.execute("SELECT node_id, public_key, status FROM node").fetchall()
    nodes: dict[str, _Node] = {}
    for node_id, pem, status in rows:
        key = load_pem_public_key(bytes(pem))
        if isinstance(key, ec.EllipticCurvePublicKey):
            # Flower keeps the unsigned number in a signed column
            nodes[public_line(key)] = _Node(int(node_id) % 2**64, str(status))
    return nodes


def _register(folder: FederationFolder, site: str, public_key: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        key_file = Path(scratch) / f"{site}.pub"
        key_file.write_text(public_key, encoding="ascii")
        flwr(folder, "supernode", "register", str(key_file), CONNECTION, "--name", site)
