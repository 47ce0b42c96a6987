"""`NAME=PATH` options, as commands that take several sites read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import ConfigError


def named_folders(texts: Sequence[str], *, option: str) -> dict[str, Path]:
    """Name -> existing folder, in the order given; ConfigError says which option is wrong."""
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise ConfigError(f"{option} {text!r}: want NAME=PATH, such as lyon=/data/lyon")
        if name in folders:
            raise ConfigError(f"{option} {text!r}: the name {name!r} is given twice")
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"{option} {text!r}: no such folder. Give the site's BIDS folder.")
        folders[name] = folder.resolve()
    return folders
