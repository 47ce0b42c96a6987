from __future__ import annotations

import importlib.metadata
import os
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.federation.consortium import BUNDLE, PROGRAMS

pytestmark = pytest.mark.federation


def test_the_bundle_that_travels_holds_configuration_only(tmp_path: Path) -> None:
    subprocess.run(
        [str(PROGRAMS / "flwr"), "build", "--app", str(BUNDLE)],
        cwd=tmp_path,
        env={**os.environ, "FLWR_HOME": str(tmp_path / "home"), "FLWR_DISABLE_UPDATE_CHECK": "1"},
        capture_output=True,
        check=True,
        timeout=300,
    )
    [bundle] = tmp_path.glob("*.fab")
    with zipfile.ZipFile(bundle) as archive:
        assert sorted(archive.namelist()) == [".info/CONTENT", "README.md", "pyproject.toml"]


def test_the_bundle_has_the_version_of_the_package() -> None:
    project = tomllib.loads((BUNDLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == importlib.metadata.version("lesionfed")
