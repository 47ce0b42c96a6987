"""`make audit` says what was looked at: an audit that reached nobody has found nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy" / "audit.py")
assert spec is not None
assert spec.loader is not None
audit: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)

GOOD = {"name": "good", "version": "1", "vulns": []}
WEAK = {"name": "weak", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNSEEN = {"name": "unseen", "version": "4", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "lines", "code"),
    [
        ([UNSEEN, UNSEEN], [audit.NOT_DONE], 0),
        ([GOOD], ["audit: 0 known weaknesses in 1 packages"], 0),
        (
            [GOOD, WEAK, UNSEEN],
            [
                "weak 2: CVE-1, mended in 3",
                "audit: 1 known weaknesses in 2 packages; 1 could not be audited",
            ],
            1,
        ),
    ],
)
def test_the_verdict(packages: list[dict[str, Any]], lines: list[str], code: int) -> None:
    assert audit.verdict(packages) == (lines, code)


@pytest.mark.parametrize(
    ("lock", "least"), [("requirements.lock", 90), ("requirements-cuda.lock", 15)]
)
def test_every_package_of_a_lock_has_digests_and_no_host_is_named(lock: str, least: int) -> None:
    text = (ROOT / lock).read_text("utf-8")
    packages = [part for part in text.replace("\\\n", " ").splitlines() if not part.startswith("#")]
    assert len(packages) > least
    for package in packages:
        assert "==" in package, package
        assert "--hash=sha256:" in package, package
    assert "://" not in text


def test_setup_lets_pip_install_nothing_but_what_the_lock_has() -> None:
    """--no-deps: the lock is all that is needed (`pip check`), and pip adds nothing by itself."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "pip install --quiet --no-deps --require-hashes --requirement\n" in makefile
    for file in ("deploy/Dockerfile", "deploy/apptainer/lesionfed-site.def"):
        text = (ROOT / file).read_text("utf-8")
        for lock in ("requirements.lock", "requirements-cuda.lock"):
            assert f"--no-deps --require-hashes --requirement {lock}" in text, file
