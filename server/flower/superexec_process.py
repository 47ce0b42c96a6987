"""Flower's SuperExec as a process: `python -m server.flower.superexec_process ...`

Flower's program as it is, but that the tokens of the processes that it starts do not stand on their
command lines (common/programs.py).
"""

from __future__ import annotations

from flwr.supercore.cli import flower_superexec
from flwr.supercore.superexec.executor import subprocess_executor

from common.programs import HIDDEN_TOKENS, replace_parts


def main() -> None:
    """Runs Flower's program with the arguments of this process."""
    replace_parts(subprocess_executor, HIDDEN_TOKENS)
    flower_superexec()


if __name__ == "__main__":
    main()
