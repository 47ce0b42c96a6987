"""No code comes with the work: what a bundle from the coordinator may hold, and nothing else."""

from __future__ import annotations

import io
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from common.errors import BundleRefused

MEMBERS = frozenset({".info/CONTENT", "README.md", "pyproject.toml"})
"""All that the bundle of LesionFed holds; whatever else there is could be code."""

COMPONENTS = {"serverapp": "server.app:app", "clientapp": "client.app:app"}
"""What the bundle may name: the apps of the package that the site installed."""

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
    """Nothing for a bundle of settings only; BundleRefused for any other, with what was found.

    content   Flower's app bundle, a zip file; it is read in memory, and nothing is written
    """
    if len(content) > LIMIT_BYTES:
        raise _not_ours(f"want at most {LIMIT_BYTES} bytes, got {len(content)}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _inspect_members(archive.infolist())
            settings = _read(archive, "pyproject.toml")
    except UNREADABLE as error:
        raise _not_ours(f"not a zip file that can be read: {error}") from None
    _inspect_settings(settings)


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


def _inspect_settings(content: bytes) -> None:
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _not_ours(f"pyproject.toml: not readable as TOML: {error}") from None
    match table:
        case {"tool": {"flwr": {"app": {"components": found}}}} if found == COMPONENTS:
            return
        case {"tool": {"flwr": {"app": {"components": found}}}}:
            raise _not_ours(f"pyproject.toml: want the components {COMPONENTS}, got {found!r:.200}")
    raise _not_ours("pyproject.toml: no [tool.flwr.app.components]")


def _not_ours(found: str) -> BundleRefused:
    return BundleRefused(
        f"the app bundle from the coordinator is not LesionFed's: {found}. Nothing of it was "
        "unpacked. Tell the coordinator.",
        code="bundle-not-ours",
    )
