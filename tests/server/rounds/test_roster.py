from __future__ import annotations

from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.proto.node_pb2 import NodeInfo

from server.inline import InlineGrid
from server.rounds.roster import gather, quorum_of
from server.run_folder import EnrolledSite


class KeyedGrid(InlineGrid):
    """Nodes as a SuperLink lists them: with their registered keys as PEM."""

    def __init__(self, keys: dict[int, ec.EllipticCurvePublicKey]) -> None:
        super().__init__({})
        self._keys = keys

    def get_nodes(self) -> Iterable[NodeInfo]:
        for node_id, key in self._keys.items():
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            yield NodeInfo(node_id=node_id, public_key=pem, name="what the node says")


def enrolled(name: str, key: ec.EllipticCurvePublicKey, *, comment: str = "") -> EnrolledSite:
    text = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    return EnrolledSite(name=name, public_key=f"{text} {comment}\n")


def test_a_site_is_known_by_its_registered_key_whatever_its_comment() -> None:
    first, second, stranger = (
        ec.generate_private_key(ec.SECP384R1()).public_key() for _ in range(3)
    )
    grid = KeyedGrid({7: second, 8: stranger, 9: first})
    sites = [enrolled("lyon", first, comment="root@lyon"), enrolled("ghent", second)]
    assert gather(grid, sites, quorum=2, wait_s=0.1) == {"lyon": 9, "ghent": 7}


@pytest.mark.parametrize(
    ("n_sites", "wanted", "quorum"),
    [(1, None, 1), (2, None, 2), (3, None, 3), (4, None, 3), (5, None, 4), (6, None, 4), (6, 2, 2)],
)
def test_the_quorum_is_all_of_three_else_two_thirds(
    n_sites: int, wanted: int | None, quorum: int
) -> None:
    assert quorum_of(n_sites, wanted) == quorum
