"""`lesionfed-site init` makes key, request and settings, and reads out the fingerprint."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.cli import main
from client.site.settings import read_site
from client.site.site_folder import SiteFolder
from common.membership.node_key import public_key_of
from common.membership.request import read_request
from tests.consortia import fingerprint_of


def test_the_fingerprint_is_the_keys_and_the_settings_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SiteFolder(tmp_path / "alpha")
    assert main(["init", "alpha", "--folder", str(folder.path)]) == 0
    assert f"fingerprint: {fingerprint_of(folder)}\n" in capsys.readouterr().out
    assert read_request(folder.request_file).site == "alpha"
    made = read_site(folder.settings_file)
    assert (made.name, made.data, made.work) == (
        "alpha",
        folder.path / "data",
        folder.path / "work",
    )


def test_a_key_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["init", "alpha", "--folder", str(tmp_path / "alpha")]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "there is a key already" in capsys.readouterr().err


def test_a_key_whose_request_was_never_written_gets_its_request(tmp_path: Path) -> None:
    arguments = ["init", "alpha", "--folder", str(tmp_path)]
    assert main(arguments) == 0
    folder = SiteFolder(tmp_path)
    key = folder.key_file.read_bytes()
    folder.request_file.unlink()
    assert main(arguments) == 0
    assert folder.key_file.read_bytes() == key
    assert read_request(folder.request_file).public_key == public_key_of(folder.key_file)


def test_settings_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("# ours\n", "utf-8")
    assert main(["init", "alpha", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "site.toml").read_text("utf-8") == "# ours\n"


@pytest.mark.parametrize("name", ["al pha", "../alpha", "alpha\n", "", "a" * 65])
def test_a_name_that_cannot_be_a_sites_is_refused_before_a_key_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["init", name, "--folder", str(tmp_path / "site")]) == 2
    assert "want letters, digits, - and _ only" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
