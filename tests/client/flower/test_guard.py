from __future__ import annotations

import io
import sys
import types
import warnings
import zipfile
from pathlib import Path

import pytest

import common
from client.flower import guard
from client.flower.guard import inspect_bundle, package_folders, require_own_modules
from common.errors import BundleRefused

BUNDLE = Path(__file__).parents[3] / "server" / "bundle"
PROJECT = (BUNDLE / "pyproject.toml").read_bytes()
OTHER_APP = PROJECT.replace(b"client.app:app", b"client.other:app")
MORE_APPS = PROJECT + b'\n[tool.flwr.app.components.x]\ny = "z:app"\n'


def bundle(
    changed: dict[str, bytes] | None = None,
    *,
    twice: str | None = None,
    packed: int = zipfile.ZIP_STORED,
) -> bytes:
    """The real bundle's three members, with others added or put in their place."""
    members = {".info/CONTENT": b"", "README.md": b"read me", "pyproject.toml": PROJECT}
    members |= changed or {}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packed) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's, of the name that comes twice
        for name, member in [*members.items(), *([(twice, PROJECT)] if twice else [])]:
            archive.writestr(name, member)
    return content.getvalue()


def test_the_bundle_of_lesionfed_passes() -> None:
    inspect_bundle(bundle())


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
        pytest.param(
            bundle({"pyproject.toml": OTHER_APP}), "got {.*client.other:app", id="another app"
        ),
        pytest.param(bundle({"pyproject.toml": MORE_APPS}), "want the components", id="more apps"),
        pytest.param(bundle({"pyproject.toml": b"[tool]\n"}), "no .tool.flwr", id="no app"),
        pytest.param(bundle({"pyproject.toml": b"[[["}), "not readable as TOML", id="no TOML"),
        pytest.param(bundle({"pyproject.toml": b"\xff"}), "not readable as TOML", id="no UTF-8"),
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
