"""`lesionfed-site join` takes this site's kit from the authority that was told, and no other."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from client.cli import main
from client.site.site_folder import SiteFolder
from common.membership.certificate import certificate_fingerprint
from common.membership.kit import read_kit
from server.federation import enrolment
from server.federation.federation_folder import FederationFolder
from tests.consortia import enrolled, federation, site


@pytest.fixture
def joint(tmp_path: Path) -> FederationFolder:
    return federation(tmp_path)


def join(kit: Path, folder: SiteFolder, *words: str) -> int:
    return main(["join", str(kit), "--folder", str(folder.path), *words])


def test_a_kit_is_put_in_its_place_and_the_authority_shown(
    tmp_path: Path, joint: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = site(tmp_path, "alpha")
    authority = joint.authority_file.read_bytes()
    fingerprint = certificate_fingerprint(authority)
    assert join(enrolled(joint, alpha), alpha, "--authority", fingerprint) == 0
    shown = capsys.readouterr().out
    assert f"authority: {fingerprint}\n" in shown
    assert f"lesionfed-site run --folder {alpha.path}" in shown
    assert alpha.authority_file.read_bytes() == authority
    assert '"site":"alpha"' in alpha.kit_file.read_text("utf-8")


def test_the_kit_of_another_site_is_refused(
    tmp_path: Path, joint: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = site(tmp_path, "alpha"), site(tmp_path, "beta")
    assert join(enrolled(joint, beta), alpha) == 2
    assert "it is the kit of site 'beta'" in capsys.readouterr().err
    assert not alpha.kit_file.parent.exists()


def test_another_authority_than_the_one_given_is_refused(
    tmp_path: Path, joint: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = site(tmp_path, "alpha")
    assert join(enrolled(joint, alpha), alpha, "--authority", "SHA256:" + "A" * 43) == 2
    assert "Do not use this kit" in capsys.readouterr().err
    assert not alpha.kit_file.parent.exists()


def test_another_authority_than_the_one_trusted_is_not_taken_silently(
    tmp_path: Path, joint: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = site(tmp_path, "alpha")
    assert join(enrolled(joint, alpha), alpha) == 0
    (tmp_path / "second").mkdir()
    second = federation(tmp_path / "second")
    kit = enrolled(second, alpha)
    assert join(kit, alpha) == 2
    assert "this site trusts" in capsys.readouterr().err
    assert alpha.authority_file.read_bytes() == joint.authority_file.read_bytes()
    fingerprint = certificate_fingerprint(second.authority_file.read_bytes())
    assert join(kit, alpha, "--authority", fingerprint) == 0


def test_a_changed_kit_is_refused(
    tmp_path: Path, joint: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = site(tmp_path, "alpha")
    kit = enrolled(joint, alpha)
    kit.write_bytes(kit.read_bytes()[:-40])
    assert join(kit, alpha) == 1
    assert "not a whole zip" in capsys.readouterr().err


def test_settings_with_another_name_are_pointed_at(
    tmp_path: Path, joint: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = site(tmp_path, "alpha")
    text = alpha.settings_file.read_text("utf-8").replace('name = "alpha"', 'name = "alfa"')
    alpha.settings_file.write_text(text, "utf-8")
    assert join(enrolled(joint, alpha), alpha) == 2
    assert 'Write name = "alpha"' in capsys.readouterr().err


def test_an_older_kit_does_not_replace_a_newer_one(
    tmp_path: Path,
    joint: FederationFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alpha = site(tmp_path, "alpha")
    older = tmp_path / "older.zip"
    older.write_bytes(enrolled(joint, alpha).read_bytes())
    made = read_kit(older)[0]
    later = datetime.fromisoformat(made.issued) + timedelta(seconds=1)
    monkeypatch.setattr(enrolment, "datetime", Clock(later))
    newer = enrolled(joint, alpha)
    assert join(newer, alpha) == 0
    joined = alpha.kit_file.read_bytes()
    assert join(older, alpha) == 2
    assert (
        f"issued {made.issued}, and this site has joined with a kit of" in capsys.readouterr().err
    )
    assert alpha.kit_file.read_bytes() == joined
    assert join(newer, alpha) == 0  # the same one again


class Clock:
    """In place of `datetime`: it is always the same time."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self, _: object) -> datetime:
        return self.at
