"""Are the installed packages those that LesionFed was made for?"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform

from packaging.requirements import InvalidRequirement, Requirement

from common.installed_packages import installed_lock
from common.preflight.check import Check, passed, problem

NAME = "packages"
LOCK = "lock digest"


def packages() -> Check:
    """Every package that LesionFed requires against what is installed."""
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires("lesionfed") or ()]
    except (importlib.metadata.PackageNotFoundError, InvalidRequirement) as error:
        return problem(NAME, f"lesionfed is not installed as a package: {error}", _INSTALL)
    faults = [
        fault
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if (fault := unmet(requirement)) is not None
    ]
    if faults:
        return problem(NAME, "; ".join(faults), _INSTALL)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "flwr")}
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    return passed(NAME, f"python {platform.python_version()}, {shown}")


def unmet(requirement: Requirement) -> str | None:
    """What is wrong with the installed package, or None."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} {version} is installed, want {requirement.specifier}"


def lock_digest() -> Check:
    """SHA-256 over `name==version` of every installed package: equal where two sites are alike."""
    lock = installed_lock()
    digest = hashlib.sha256(lock.encode()).hexdigest()
    return passed(LOCK, f"{digest} over {len(lock.splitlines())} packages")


_INSTALL = "Install LesionFed anew from its wheel, with requirements.lock as constraints."
