"""Known weaknesses in the packages of requirements.lock, by pip-audit: `make audit`.

Exit code 1 where a package has one. It says so, with exit code 0, where the service that knows
them cannot be reached: nothing was audited then, and nothing was found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOT_DONE = "audit: NOT DONE: the service that knows the weaknesses cannot be reached from here"


def main(pip_audit: str, lock: str) -> int:
    """The exit code; pip_audit is the program, lock the list of packages."""
    done = subprocess.run(  # noqa: S603 - the program that `make audit` has installed
        [pip_audit, "--disable-pip", "--require-hashes", "--requirement", lock, "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print(done.stderr.strip()[-2000:], NOT_DONE, sep="\n")  # noqa: T201 - it is a program
        return 0
    lines, code = verdict(packages)
    print(*lines, sep="\n")  # noqa: T201 - as above
    return code


def verdict(packages: Sequence[dict[str, Any]]) -> tuple[list[str], int]:
    """What is said of the packages, and the exit code."""
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        return [NOT_DONE], 0
    lines = [
        f"{package['name']} {package['version']}: {weakness['id']}, mended in "
        f"{', '.join(weakness['fix_versions']) or 'no version'}"
        for package in audited
        for weakness in package["vulns"]
    ]
    found = f"audit: {len(lines)} known weaknesses in {len(audited)} packages"
    left_out = len(packages) - len(audited)
    return [*lines, found + (f"; {left_out} could not be audited" if left_out else "")], bool(lines)


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.executable).with_name("pip-audit")), sys.argv[1]))
