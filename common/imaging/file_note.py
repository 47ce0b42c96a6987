"""What there is to say about an image file that can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNote:
    """Something a file says against itself, or that had to be assumed of it.

    level   note: good to know. warning: figures or places may be wrong
    code    a short word for scripts, such as "two-places"; safe to leave the site
    text    what was found, and what is used
    fix     what to do about it
    """

    level: Literal["note", "warning"]
    code: str
    text: str
    fix: str
