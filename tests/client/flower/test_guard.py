from __future__ import annotations

import io
import sys
import time
import types
import warnings
import zipfile
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk

import common
from client.flower import guard
from client.flower.guard import inspect_bundle, package_folders, require_own_modules
from common.errors import BundleRefused

BUNDLE = Path(__file__).parents[3] / "server" / "bundle"
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of a library of Flower's
    BUILT = build_fab_from_disk(BUNDLE)
"""As `flwr run` sends it."""


def members_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PROJECT = members_of(BUILT)["pyproject.toml"]
OTHER_APP = PROJECT.replace(b"client.app:app", b"client.other:app")
MORE_APPS = PROJECT + b'\n[tool.flwr.app.components.x]\ny = "z:app"\n'


def bundle(
    changed: dict[str, bytes] | None = None,
    *,
    twice: str | None = None,
    packed: int = zipfile.ZIP_STORED,
) -> bytes:
    """The real bundle's three members, with others added or put in their place."""
    members = members_of(BUILT) | (changed or {})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packed) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's, of the name that comes twice
        for name, member in [*members.items(), *([(twice, PROJECT)] if twice else [])]:
            archive.writestr(name, member)
    return content.getvalue()


def test_the_bundle_that_flower_builds_of_the_installed_one_passes() -> None:
    inspect_bundle(BUILT)
    inspect_bundle(bundle())


def test_a_key_of_a_million_dots_is_refused_at_once() -> None:
    # reading it as TOML takes the square of its length: 12 s for a zip of 381 bytes
    key = PROJECT + b"a." * 300_000 + b"b = 1\n"
    began = time.monotonic()
    with pytest.raises(BundleRefused, match=r"pyproject\.toml is another than the one"):
        inspect_bundle(bundle({"pyproject.toml": key}, packed=zipfile.ZIP_DEFLATED))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "name",
    [
        "client/app.py",
        "client/app.pyc",
        "common/__init__.so",
        "evil.pth",
        "sitecustomize.py",
        "client/app.txt",  # renamed
        "README.MD",
        "pyproject.toml/../client/app.py",
        "../x",
        "/etc/x",
        "server/",
        "LICENSE",
    ],
)
def test_any_other_member_is_taken_for_code(name: str) -> None:
    with pytest.raises(BundleRefused, match="no code comes with the work") as refused:
        inspect_bundle(bundle({name: b"x"}))
    assert refused.value.code == "bundle-has-code"


def test_a_name_that_python_cuts_short_is_taken_for_code() -> None:
    content = bundle({"README.md.py": b"x"}).replace(b"README.md.py", b"README.md\0py")
    with pytest.raises(BundleRefused, match="no code comes with the work"):
        inspect_bundle(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "not a zip file", id="empty"),
        pytest.param(bundle()[:-30], "not a zip file", id="cut"),
        pytest.param(b"x" * (guard.LIMIT_BYTES + 1), "want at most 1048576 bytes, got", id="long"),
        pytest.param(
            bundle({"README.md": bytes(50 << 20)}, packed=zipfile.ZIP_DEFLATED),
            "README.md: want at most 1048576 bytes unpacked, got 52428800",
            id="50 MB of zeros in 50 kB",
        ),
        pytest.param(bundle(twice="pyproject.toml"), "each once", id="a member twice"),
        *(
            pytest.param(bundle(changed), f"{name} is another than the one installed", id=what)
            for what, name, changed in (
                ("another app", "pyproject.toml", {"pyproject.toml": OTHER_APP}),
                ("more apps", "pyproject.toml", {"pyproject.toml": MORE_APPS}),
                ("no TOML", "pyproject.toml", {"pyproject.toml": b"[[["}),
                ("another text", "README.md", {"README.md": b"read me"}),
            )
        ),
    ],
)
def test_what_is_not_the_bundle_of_lesionfed_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BundleRefused, match=words) as refused:
        inspect_bundle(content)
    assert refused.value.code == "bundle-not-ours"


def test_the_size_that_a_member_claims_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_inspect_members", lambda members: None)
    longer = PROJECT + b"#" * guard.LIMIT_BYTES
    content = bundle({"pyproject.toml": longer}, packed=zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleRefused, match="unpacked, got more"):
        inspect_bundle(content)


def test_our_modules_lie_where_they_were_imported_from() -> None:
    require_own_modules(package_folders())


def test_a_module_of_ours_from_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = package_folders()
    foreign = types.ModuleType("common.foreign")
    foreign.__file__ = str(tmp_path / "common" / "foreign.py")
    monkeypatch.setitem(sys.modules, "common.foreign", foreign)
    with pytest.raises(BundleRefused, match=r"module common\.foreign came from") as refused:
        require_own_modules(folders)
    assert str(Path(str(common.__file__)).parent) in str(refused.value)
