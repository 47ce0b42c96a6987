"""A site is enrolled by its name, its key and a fingerprint given by telephone."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.errors import ConfigError, WireError
from common.membership.kit import read_kit
from common.membership.node_key import new_node_key, public_key_of
from common.membership.request import write_request
from server.federation import enrolment
from server.federation.enrolment import enrol, remove, restore, suspend
from server.federation.members import Members, write_members
from tests.consortia import enrolled, federation, fingerprint_of, let_authority_expire, site


def test_an_enrolled_site_is_a_member_and_its_kit_says_its_role(tmp_path: Path) -> None:
    joint, beta = federation(tmp_path), site(tmp_path, "beta")
    kit, authority_pem = read_kit(enrolled(joint, beta))
    assert (kit.site, kit.role, kit.public_key) == (
        "beta",
        "evaluate",
        public_key_of(beta.key_file),
    )
    assert (kit.federation, kit.address, kit.port) == ("ms-north", "lesionfed.example.org", 8443)
    assert authority_pem == joint.authority_file.read_bytes()
    assert joint.members().active_keys() == {"beta": public_key_of(beta.key_file)}


def test_the_same_request_again_writes_the_kit_again(tmp_path: Path) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    kit = enrolled(joint, alpha)
    members = joint.members()
    kit.unlink()
    assert enrolled(joint, alpha).is_file()
    assert joint.members() == members


def test_a_wrong_fingerprint_is_refused(tmp_path: Path) -> None:
    joint, alpha, beta = federation(tmp_path), site(tmp_path, "alpha"), site(tmp_path, "beta")
    with pytest.raises(ConfigError, match=r"has fingerprint SHA256:.*Ask the site to read"):
        enrol(joint, alpha.request_file, fingerprint=fingerprint_of(beta))
    assert joint.members().members == ()
    assert list(joint.kits.iterdir()) == []


def test_a_changed_request_is_refused(tmp_path: Path) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    table = json.loads(alpha.request_file.read_text("utf-8"))
    alpha.request_file.write_text(json.dumps({**table, "site": "beta"}), "utf-8")
    with pytest.raises(WireError, match="the signature does not fit"):
        enrolled(joint, alpha)
    assert joint.members().members == ()


def test_a_site_that_is_not_planned_is_refused(tmp_path: Path) -> None:
    joint, gamma = federation(tmp_path), site(tmp_path, "gamma")
    with pytest.raises(ConfigError, match=r"site 'gamma' is not planned .* there are alpha, beta"):
        enrolled(joint, gamma)


def test_a_key_that_another_site_has_is_refused(tmp_path: Path) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    enrolled(joint, alpha)
    write_request(alpha.request_file, site="beta", key_file=alpha.key_file)
    with pytest.raises(
        ConfigError, match="key of site 'beta' is enrolled already, by site 'alpha'"
    ):
        enrolled(joint, alpha)


def test_a_second_key_for_a_site_wants_to_be_asked_for(tmp_path: Path) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    enrolled(joint, alpha)
    enrolled(joint, site(tmp_path, "beta"))
    alpha.key_file.unlink()
    new_key = new_node_key(alpha.key_file)
    write_request(alpha.request_file, site="alpha", key_file=alpha.key_file)
    with pytest.raises(
        ConfigError, match=r"'alpha' is enrolled already \(active\), with another key"
    ):
        enrolled(joint, alpha)
    enrol(joint, alpha.request_file, fingerprint=fingerprint_of(alpha), replace=True)
    assert joint.members().active_keys()["alpha"] == new_key
    assert [member.site for member in joint.members().members] == ["alpha", "beta"]


def test_a_replaced_key_is_kept_and_never_taken_again(tmp_path: Path) -> None:
    joint, first = federation(tmp_path), site(tmp_path, "alpha")
    second = site(tmp_path / "again", "alpha")
    enrolled(joint, first)
    enrol(joint, second.request_file, fingerprint=fingerprint_of(second), replace=True)
    old = public_key_of(first.key_file)
    assert joint.members().members[0].former_keys == (old,)
    assert joint.members().ended_keys() == {old}
    with pytest.raises(ConfigError, match="was replaced before, at site 'alpha'"):
        enrol(joint, first.request_file, fingerprint=fingerprint_of(first), replace=True)


def test_two_changes_at_once_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joint = federation(tmp_path)
    sites = [site(tmp_path, name) for name in ("alpha", "beta")]

    def write_slowly(path: Path, members: Members) -> None:
        time.sleep(0.3)
        write_members(path, members)

    monkeypatch.setattr(enrolment, "write_members", write_slowly)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda made: enrolled(joint, made), sites))
        list(pool.map(lambda name: suspend(joint, name), ("alpha", "beta")))
    states = {member.site: member.state for member in joint.members().members}
    assert states == {"alpha": "suspended", "beta": "suspended"}


def test_a_suspended_site_is_left_out_until_restored(tmp_path: Path) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    enrolled(joint, alpha)
    suspend(joint, "alpha")
    assert joint.members().active_keys() == {}
    with pytest.raises(ConfigError, match=r"suspended\. Restore it"):
        enrolled(joint, alpha)
    restore(joint, "alpha")
    assert joint.members().active_keys() == {"alpha": public_key_of(alpha.key_file)}


def test_a_removed_site_comes_back_with_a_new_key_only(tmp_path: Path) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    enrolled(joint, alpha)
    remove(joint, "alpha")
    for change in (restore, suspend):
        with pytest.raises(ConfigError, match="'alpha' was removed, and Flower takes no key twice"):
            change(joint, "alpha")
    with pytest.raises(ConfigError, match="'alpha' was removed, and its key with it"):
        enrolled(joint, alpha)
    again = site(tmp_path / "again", "alpha")
    enrol(joint, again.request_file, fingerprint=fingerprint_of(again), replace=True)
    assert joint.members().active_keys() == {"alpha": public_key_of(again.key_file)}


def test_who_has_not_enrolled_cannot_be_suspended(tmp_path: Path) -> None:
    joint = federation(tmp_path)
    with pytest.raises(ConfigError, match="'beta' has not enrolled; members are: none"):
        suspend(joint, "beta")


def test_an_expired_authority_takes_nobody_in(tmp_path: Path) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    let_authority_expire(joint)
    with pytest.raises(ConfigError, match=r"the authority .* expired on"):
        enrolled(joint, alpha)
    assert joint.members().members == ()
