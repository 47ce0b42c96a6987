"""Parts of Flower's programs at a site that ours take the place of."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from common.errors import FlowerError
from common.programs import require_flower


def replace_parts(module: ModuleType, parts: Mapping[str, object]) -> None:
    """Puts each part into Flower's module under its name.

    FlowerError where it is not the Flower that LesionFed was made for, or has no such name: a part
    under another name would be left in place without a word, and nothing may begin then.
    """
    require_flower()
    for name, part in parts.items():
        if not hasattr(module, name):
            raise FlowerError(
                f"{module.__name__} has no {name}: this is another version of Flower than "
                "LesionFed was made for. Install the version that LesionFed names."
            )
        setattr(module, name, part)
