"""Whatever bytes arrive, their reader returns or says in words why not: soon, in little memory.

A share of 100,000 inputs runs by default; `make fuzz` runs all of them.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.limits import fault_of
from tests.fuzz.readers import readers

N_INPUTS = int(os.environ.get("LESIONFED_FUZZ_INPUTS", "5000"))
FIRST = int(os.environ.get("LESIONFED_FUZZ_FIRST", "0"))
"""Of each reader's seeds; others than those of the default share are other inputs."""
NAMES = tuple(readers(Path()))
SHOWN = 20
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it is made for us alone


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: an input is written to a file in 0.03 ms, not in 5."""
    if not os.access(IN_MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as made:
        yield Path(made)


@pytest.fixture
def no_log() -> Iterator[None]:
    """What is refused is logged too: it would be kept for every input."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("no_log")
def test_no_input_is_answered_by_another_exception_or_past_the_bounds(
    folder: Path, name: str
) -> None:
    reader = readers(folder)[name]()
    wrong = []
    for seed in range(FIRST, FIRST + -(-N_INPUTS // len(NAMES))):
        content = reader.draw(Random(f"{name} {seed}"))  # noqa: S311 - no secret
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning about what was read is no exception
            found = fault_of(partial(reader.read, content))
        if found is not None:
            wrong.append(f"{name}, seed {seed}: {found}; {content[:80]!r}")
    assert not wrong, f"{len(wrong)} of them\n" + "\n".join(wrong[:SHOWN])
