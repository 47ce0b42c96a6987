"""No code comes with the work: a bundle from the coordinator is the installed one, or refused."""

from __future__ import annotations

import io
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import tomli_w

import common
from common.errors import BundleRefused

MEMBERS = frozenset({".info/CONTENT", "README.md", "pyproject.toml"})
"""All that the bundle of LesionFed holds; whatever else there is could be code. CONTENT is Flower's
list of the others; nothing here reads it."""

LIMIT_BYTES = 1 << 20
"""The bundle as it came, and each of its members unpacked; the real one has 10 kB."""

UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),  # damaged
    *(NotImplementedError, RuntimeError, ValueError),  # packed in another way, encrypted, too odd
)
"""What Python's zipfile raises for a file that it cannot read."""

PACKAGES = ("client", "common")
"""Ours, whose modules must come from the folders they came from at the start."""


def inspect_bundle(content: bytes) -> None:
    """Nothing for the bundle that is installed here; BundleRefused for any other.

    content   Flower's app bundle, a zip file; it is read in memory, and nothing is written

    The members' bytes are compared, and none of them is parsed: a reader of TOML can be kept busy
    for hours with one long key.
    """
    if len(content) > LIMIT_BYTES:
        raise _not_ours(f"want at most {LIMIT_BYTES} bytes, got {len(content)}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _inspect_members(archive.infolist())
            for name, installed in installed_members().items():
                if _read(archive, name) != installed:
                    raise _not_ours(f"{name} is another than the one installed here")
    except UNREADABLE as error:
        raise _not_ours(f"not a zip file that can be read: {error}") from None


@cache
def installed_members() -> dict[str, bytes]:
    """README.md and pyproject.toml as Flower puts the installed ones into a bundle.

    Flower writes pyproject.toml anew, without its comments. The files come with the same wheel as
    this one, so that nothing of the server's code is imported for them.
    """
    folder = Path(str(common.__file__)).resolve().parents[1] / "server" / "bundle"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        "README.md": (folder / "README.md").read_bytes(),
        "pyproject.toml": tomli_w.dumps(project).encode(),
    }


def package_folders() -> dict[str, Path]:
    """Our packages -> the folder each was imported from; call it before anything else is."""
    return {name: _folder_of(name) for name in PACKAGES}


def require_own_modules(folders: Mapping[str, Path]) -> None:
    """Nothing where every imported module of ours lies in `folders`; else BundleRefused."""
    for name, module in list(sys.modules.items()):
        folder = folders.get(name.partition(".")[0])
        if folder is None:
            continue
        origin = getattr(module, "__file__", None)
        if origin is not None and not Path(origin).resolve().is_relative_to(folder):
            raise BundleRefused(
                f"the module {name} came from {origin}, and the package installed here lies in "
                f"{folder}. Look for a second copy on PYTHONPATH, and tell the coordinator."
            )


def _folder_of(package: str) -> Path:
    origin = sys.modules[package].__file__
    if origin is None:
        raise BundleRefused(f"the package {package} has no file. Install lesionfed again.")
    return Path(origin).resolve().parent


def _inspect_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    odd = sorted({m.orig_filename for m in members if m.orig_filename not in MEMBERS})
    if odd:
        shown = ", ".join(repr(name[:80]) for name in odd[:5])
        raise BundleRefused(
            f"the app bundle from the coordinator holds {shown} ({len(odd)} in all) and may hold "
            f"only {', '.join(sorted(MEMBERS))}: no code comes with the work. Nothing of it was "
            "run. Tell the coordinator, and the hospital's security officer."
        )
    if sorted(names) != sorted(MEMBERS):
        raise _not_ours(f"want {', '.join(sorted(MEMBERS))}, each once, got {sorted(names)}")
    for member in members:
        if member.file_size > LIMIT_BYTES:
            raise _not_ours(
                f"{member.filename}: want at most {LIMIT_BYTES} bytes unpacked, "
                f"got {member.file_size}"
            )


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """One member; the size it claims is not believed."""
    with archive.open(name) as file:
        content = file.read(LIMIT_BYTES + 1)
    if len(content) > LIMIT_BYTES:
        raise _not_ours(f"{name}: want at most {LIMIT_BYTES} bytes unpacked, got more")
    return content


def _not_ours(found: str) -> BundleRefused:
    return BundleRefused(
        f"the app bundle from the coordinator is not this LesionFed's: {found}. Nothing of it was "
        "unpacked. Compare the versions of LesionFed with the coordinator, and tell him.",
        code="bundle-not-ours",
    )
