"""Who may ask a site: real keys, every way to forge, change or repeat a request."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from client.site.admission import admit
from client.site.settings import Site
from common.errors import WireError
from common.membership.kit import Kit
from common.membership.requests_key import public_half
from common.wire.codec import Packed, pack
from common.wire.messages import Assignment, StatisticsRequest
from server.rounds.sealer import Sealer
from tests.kits import kit_for

KEY = Ed25519PrivateKey.generate()
KIT = kit_for("train", requests_key=public_half(KEY))


def lyon(folder: Path) -> Site:
    return Site(name="lyon", data=folder, work=folder / "work")


def request(
    *, key: Ed25519PrivateKey | None = KEY, sealer: Sealer | None = None, site: str = "lyon"
) -> Packed:
    assignment = Assignment(
        run="r",
        phase="statistics",
        round_index=1,
        recipe="{}",
        code_digest="0" * 64,
        site=site,
        site_index=0,
        n_sites=1,
        exchange_id="a" * 32,
    )
    packed = pack(StatisticsRequest(assignment=assignment))
    return (sealer or Sealer(sitting=1, key=key)).seal(packed, assignment)


def code(folder: Path, packed: Packed, kit: Kit | None = KIT) -> str:
    """`admitted`, or the code of the refusal."""
    try:
        admit(packed, site=lyon(folder), kit=kit)
    except WireError as error:
        return error.code
    return "admitted"


def test_the_coordinators_requests_are_admitted_each_once(tmp_path: Path) -> None:
    sealer = Sealer(sitting=1, key=KEY)
    first, second = request(sealer=sealer), request(sealer=sealer)
    assert [code(tmp_path, packed) for packed in (first, first, second, first)] == [
        *("admitted", "replayed"),
        *("admitted", "replayed"),
    ]


@pytest.mark.parametrize("key", [None, Ed25519PrivateKey.generate()])
def test_who_does_not_hold_the_key_is_refused_and_spends_nothing(
    tmp_path: Path, key: Ed25519PrivateKey | None
) -> None:
    forged = request(sealer=Sealer(sitting=1 << 52, key=key))
    assert code(tmp_path, forged) == "not-signed"
    assert not (tmp_path / "work").exists()
    assert code(tmp_path, request()) == "admitted"


def test_another_sites_request_is_refused_and_spends_nothing(tmp_path: Path) -> None:
    assert code(tmp_path, request(site="paris", sealer=Sealer(sitting=9, key=KEY))) == "wrong-site"
    assert code(tmp_path, request()) == "admitted"


def test_a_long_name_of_another_site_is_cut_where_it_is_quoted(tmp_path: Path) -> None:
    packed = request(site="p" * 200)
    with pytest.raises(WireError, match=r"the request is for 'p{199}, and this site is 'lyon'"):
        admit(packed, site=lyon(tmp_path), kit=KIT)


@pytest.mark.parametrize(
    ("part", "refused"), [("header", "seal"), ("payload", "seal"), ("seal", "not-signed")]
)
def test_a_request_that_was_changed_on_its_way_is_refused(
    tmp_path: Path, part: str, refused: str
) -> None:
    packed = request()
    changed = (
        dataclasses.replace(packed, payload=b"x")
        if part == "payload"
        else dataclasses.replace(packed, **{part: getattr(packed, part).replace("1", "2")})
    )
    assert code(tmp_path, changed) == refused


def test_a_seal_put_on_another_request_is_refused(tmp_path: Path) -> None:
    packed = request()
    other = dataclasses.replace(packed, header=packed.header.replace('"{}"', '"{ }"'))
    assert code(tmp_path, other) == "seal"


def test_a_signature_for_another_purpose_does_not_count(tmp_path: Path) -> None:
    packed = request()
    signature = base64.b64encode(KEY.sign(packed.seal.encode())).decode("ascii")
    assert code(tmp_path, dataclasses.replace(packed, signature=signature)) == "not-signed"


def test_a_seal_with_more_in_it_than_a_seal_has_is_refused(tmp_path: Path) -> None:
    from common.membership.requests_key import _signed

    packed = request()
    text = json.dumps({**json.loads(packed.seal), "more": 1})
    odd = dataclasses.replace(packed, seal=text, signature=_signed(KEY, text))
    assert code(tmp_path, odd) == "wire"


def test_without_a_kit_no_signature_is_asked_for_and_the_order_counts(tmp_path: Path) -> None:
    packed = request(key=None)
    assert [code(tmp_path, packed, kit=None) for _ in range(2)] == ["admitted", "replayed"]


@given(
    seal=st.text(max_size=50) | st.just("[" * 5000) | st.just("\udc80"),
    signature=st.text(max_size=50) | st.just("A" * 88),
    with_kit=st.booleans(),
)
def test_whatever_stands_in_a_seal_it_is_refused_by_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, seal: str, signature: str, *, with_kit: bool
) -> None:
    packed = Packed("{}", b"", seal, signature)
    assert code(tmp_path_factory.mktemp("a"), packed, KIT if with_kit else None) != "admitted"
