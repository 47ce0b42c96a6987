"""What init, join and run write at a site is for its owner alone, whatever the login's umask."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.cli import main
from client.flower import run_node
from client.flower.supernode import Supervisor
from client.site.site_folder import SiteFolder
from server.federation.federation_folder import FederationFolder
from tests.consortia import enrolled, federation

WRITES = """
import sys
from pathlib import Path
from client.site.findings_file import write_findings
from client.site.settings import read_site

site = read_site(Path(sys.argv[1]))
write_findings(site, [], n_left_out=0)
image = site.work / "prepared" / "sub-01" / "image.npy"
image.parent.mkdir(parents=True)
image.write_bytes(b"voxels")
"""


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """That of most logins: everybody may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def joint(tmp_path: Path) -> FederationFolder:
    return federation(tmp_path)


def init(tmp_path: Path) -> SiteFolder:
    folder = SiteFolder(tmp_path / "alpha")
    assert main(["init", "alpha", "--folder", str(folder.path)]) == 0
    return folder


def open_to_others(folder: Path) -> list[str]:
    """What lies in `folder`, itself included, that others than its owner may do anything with."""
    found = [folder, *folder.rglob("*")]
    return [str(path.relative_to(folder)) for path in found if path.stat().st_mode & 0o077]


def umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def test_what_init_makes_is_for_the_owner_alone(tmp_path: Path) -> None:
    folder = init(tmp_path)
    assert len(list(folder.path.iterdir())) == 3
    assert open_to_others(folder.path) == []
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert umask() == 0o022


def test_what_join_puts_in_place_is_for_the_owner_alone(
    tmp_path: Path, joint: FederationFolder
) -> None:
    folder = init(tmp_path)
    assert main(["join", str(enrolled(joint, folder)), "--folder", str(folder.path)]) == 0
    assert folder.kit_file.exists()
    assert open_to_others(folder.path) == []
    assert umask() == 0o022


def test_what_run_and_the_processes_below_it_write_is_for_the_owner_alone(
    tmp_path: Path, joint: FederationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = init(tmp_path)
    assert main(["join", str(enrolled(joint, folder)), "--folder", str(folder.path)]) == 0
    program = [sys.executable, "-c", WRITES, str(folder.settings_file)]

    class Once(Supervisor):
        """The real one, whose stand-in of a SuperNode writes as a ClientApp does, and ends."""

        def run(self) -> None:
            self._command = lambda: program
            super()._run_once()

    monkeypatch.setattr(run_node, "Supervisor", Once)
    assert main(["run", "--folder", str(folder.path)]) == 0
    work = folder.path / "work"
    assert (work / "findings.txt").exists()
    assert (work / "prepared" / "sub-01" / "image.npy").exists()
    assert (folder.logs / "supernode.log").exists()
    assert open_to_others(folder.path) == []
    assert umask() == 0o022


def test_a_run_that_is_refused_leaves_the_umask_as_it_was(tmp_path: Path) -> None:
    assert main(["run", "--folder", str(tmp_path)]) == 2  # it has not joined
    assert umask() == 0o022
