from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.proto.node_pb2 import NodeInfo

from common.errors import ConfigError, QuorumNotMet
from common.membership.site import Role
from server.federation.members import Member, Members, write_members
from server.inline import InlineGrid, inline_key
from server.rounds.deadline_grid import DeadlineGrid
from server.rounds.roster import Roster, gather, quorum_of
from server.run.run_folder import Consortium, EnrolledSite

TRAIN: tuple[Role, ...] = ("train",)


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
    sites = (enrolled("lyon", first, comment="root@lyon"), enrolled("ghent", second))
    roster = Roster(DeadlineGrid(grid, turn_s=None), Consortium(run="r", sites=sites))
    assert gather(roster, ["lyon", "ghent"], quorum=2, wait_s=0.1) == {"lyon": 9, "ghent": 7}


def member(site: str, state: Literal["active", "suspended", "removed"] = "active") -> Member:
    return Member(site=site, public_key=inline_key(site), state=state, enrolled="2026-01-01")


def test_who_is_enrolled_suspended_or_removed_meanwhile_counts_from_the_next_check(
    tmp_path: Path,
) -> None:
    file = tmp_path / "members.json"
    names = ("lyon", "ghent", "turin")
    consortium = Consortium(
        run="r", sites=tuple(EnrolledSite(name=name) for name in names), members_file=file
    )
    grid = InlineGrid({name: tmp_path for name in names})
    roster = Roster(DeadlineGrid(grid, turn_s=None), consortium)

    def there() -> set[str]:
        return set(roster.online(names, until=time.monotonic() + 1))

    write_members(file, Members())
    assert roster.taking_part(TRAIN) == ["lyon", "ghent", "turin"]  # all may still enrol
    assert there() == set()
    write_members(file, Members(members=(member("lyon"), member("ghent"))))
    assert there() == {"lyon", "ghent"}
    write_members(file, Members(members=(member("lyon"), member("ghent", "suspended"))))
    assert there() == {"lyon"}
    assert roster.taking_part(TRAIN) == ["lyon", "turin"]


def test_members_that_are_not_where_the_run_says_are_not_taken_for_nobody(tmp_path: Path) -> None:
    file = tmp_path / "members.json"
    consortium = Consortium(run="r", sites=(EnrolledSite(name="lyon"),), members_file=file)
    roster = Roster(DeadlineGrid(InlineGrid({"lyon": tmp_path}), turn_s=None), consortium)
    wanted = r"members\.json: no such file, and the run's .*`lesionfed resume` brings its place"
    with pytest.raises(ConfigError, match=wanted):
        roster.taking_part(TRAIN)
    with pytest.raises(ConfigError, match=wanted):
        roster.online(["lyon"], until=time.monotonic() + 1)


def test_it_is_reported_once_whom_a_round_waits_for_until_when_and_how_many_are_needed(
    tmp_path: Path,
) -> None:
    sites = tuple(EnrolledSite(name=name, public_key=inline_key(name)) for name in ("lyon", "bonn"))
    grid = DeadlineGrid(InlineGrid({"lyon": tmp_path}), turn_s=None)
    roster = Roster(grid, Consortium(run="r", sites=sites))
    told: list[dict[str, object]] = []
    gather(roster, ["lyon", "bonn"], quorum=1, wait_s=1.0, on_waiting=told.append)
    [waiting] = told
    assert (waiting["for"], waiting["have"], waiting["need"]) == (["bonn"], 1, 1)
    assert datetime.fromisoformat(str(waiting["until"])) > datetime.now(UTC) - timedelta(seconds=5)


def test_where_the_recipe_names_no_quorum_excluded_sites_do_not_count_for_it() -> None:
    assert quorum_of(6, None) == 4  # two thirds of six
    assert quorum_of(6, None, n_excluded=2) == 3  # two thirds of four, rounded up
    assert quorum_of(6, 5, n_excluded=2) == 5  # what the recipe says stays
    assert quorum_of(1, None, n_excluded=1) == 1  # nobody is too few


def test_a_reserve_is_taken_in_only_where_the_quorum_is_not_there_without_it(
    tmp_path: Path,
) -> None:
    names = ("lyon", "bonn", "ghent")
    sites = tuple(EnrolledSite(name=name, public_key=inline_key(name)) for name in names)
    grid = DeadlineGrid(InlineGrid({"lyon": tmp_path, "bonn": tmp_path}), turn_s=None)
    roster = Roster(grid, Consortium(run="r", sites=sites))

    def present(*asked: str, quorum: int) -> set[str]:
        return set(gather(roster, asked, reserve=["bonn"], quorum=quorum, wait_s=0.1))

    assert present("lyon", "ghent", quorum=1) == {"lyon"}
    assert present("lyon", "ghent", quorum=2) == {"lyon", "bonn"}
    with pytest.raises(QuorumNotMet, match=r"2 of 3 sites are online and 3 are.*Missing: ghent\."):
        present("lyon", "ghent", quorum=3)


@pytest.mark.parametrize(
    ("n_sites", "wanted", "quorum"),
    [(1, None, 1), (2, None, 2), (3, None, 3), (4, None, 3), (5, None, 4), (6, None, 4), (6, 2, 2)],
)
def test_the_quorum_is_all_of_three_else_two_thirds(
    n_sites: int, wanted: int | None, quorum: int
) -> None:
    assert quorum_of(n_sites, wanted) == quorum
