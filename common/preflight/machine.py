"""This machine: disk, memory, device, packages, versions, and files that are to be secret."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import resource
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from common.code_digest import code_digest
from common.errors import ConfigError
from common.machine import MEMINFO, available_bytes, installed_lock
from common.preflight.check import CheckResult, not_checked, passed, problem, warning
from common.recipe.inference import Compute

DISK = "disk"
MEMORY = "memory"
DEVICE = "device"
PACKAGES = "packages"
OPEN_FILES = "open files"
LOCK = "lock digest"
VERSION = "LesionFed's version"
SECRETS = "secret files"

LEAST_OPEN_FILES = 256
"""Some 40 of Flower and torch, one for each connection and worker, and room for as many again."""
INSTALL = "Reinstall LesionFed from its wheel, with requirements.lock as constraints."
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def disk(folder: Path, *, needed_bytes: int, purpose: str) -> CheckResult:
    """Free bytes where `folder` is, or will be, against an estimate of what is written there."""
    try:
        there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        return not_checked(DISK, f"{folder}: {error.strerror}")
    found = (
        f"{free_bytes / 1e9:.1f} GB free at {folder}, about {needed_bytes / 1e9:.1f} GB for "
        f"{purpose}"
    )
    if free_bytes < needed_bytes:
        return problem(DISK, found, "Free space there, or choose a folder on a larger disk.")
    return passed(DISK, found)


def folder_size_bytes(folder: Path) -> int:
    """Bytes of all files under `folder`; what cannot be read counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except OSError:
            continue
    return total


def memory(*, needed_bytes: int) -> CheckResult:
    """Free memory against an estimate: a warning below it, a problem below half of it."""
    try:
        free_bytes = available_bytes()
    except ConfigError:
        return not_checked(MEMORY, f"{MEMINFO} does not say how much is free")
    found = f"{free_bytes / 1e9:.1f} GB free, about {needed_bytes / 1e9:.1f} GB are wanted"
    fix = "End other programs, raise the container's limit, or use a machine with more memory."
    if free_bytes < needed_bytes / 2:
        return problem(MEMORY, found, fix)
    if free_bytes < needed_bytes:
        return warning(MEMORY, found, fix)
    return passed(MEMORY, found)


def device(compute: Compute) -> CheckResult:
    """The recipe's device and threads against this machine's."""
    n_cpus = len(os.sched_getaffinity(0))
    cpus = f"{n_cpus} CPU{'s' if n_cpus > 1 else ''}"
    if compute.device == "cuda":
        import torch  # takes seconds

        if not torch.cuda.is_available():
            return problem(
                DEVICE,
                f"the recipe computes on cuda, and torch finds no GPU here ({cpus})",
                "Check nvidia-smi and the driver, or that the installed torch is a CUDA build; or "
                "agree on compute.device = 'cpu'.",
            )
        return passed(DEVICE, f"{torch.cuda.get_device_name(0)}, {cpus}")
    if n_cpus < compute.threads:
        return warning(
            DEVICE,
            f"the recipe computes with {compute.threads} threads, and here are {cpus}",
            "It works, slowly; use a machine with more CPUs, or expect a longer round.",
        )
    return passed(DEVICE, f"cpu, {compute.threads} threads of {cpus}")


def open_files() -> CheckResult:
    """How many files, connections among them, a program of this user may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "no limit" if soft == resource.RLIM_INFINITY else f"{soft} at a time"
    if soft != resource.RLIM_INFINITY and soft < LEAST_OPEN_FILES:
        return problem(
            OPEN_FILES,
            f"{shown}, want at least {LEAST_OPEN_FILES}",
            f"Raise it: ulimit -n {LEAST_OPEN_FILES} (this user may go to {hard}), or LimitNOFILE "
            "in the systemd unit.",
        )
    return passed(OPEN_FILES, shown)


def packages() -> CheckResult:
    """Every package that LesionFed requires against what is installed."""
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires("lesionfed") or ()]
    except (importlib.metadata.PackageNotFoundError, InvalidRequirement) as error:
        return problem(PACKAGES, f"lesionfed is not installed as a package: {error}", INSTALL)
    faults = [
        fault
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if (fault := unmet(requirement)) is not None
    ]
    if faults:
        return problem(PACKAGES, "; ".join(faults), INSTALL)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "flwr")}
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    return passed(PACKAGES, f"python {platform.python_version()}, {shown}")


def unmet(requirement: Requirement) -> str | None:
    """What is wrong with the installed package, or None."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} {version} is installed, want {requirement.specifier}"


def lock_digest() -> CheckResult:
    """SHA-256 over `name==version` of every installed package: equal where two sites are alike."""
    lock = installed_lock()
    digest = hashlib.sha256(lock.encode()).hexdigest()
    return passed(LOCK, f"{digest} over {len(lock.splitlines())} packages")


def versions(*, lesionfed_version: str, digest: str, issued: str) -> CheckResult:
    """The installed code against what the coordinator had when the kit was issued.

    digest   of the coordinator's code, by `code_digest`
    issued   the kit's date, shown
    """
    here = importlib.metadata.version("lesionfed")
    if here == lesionfed_version and code_digest() == digest:
        return passed(VERSION, f"{here}, code {digest[:12]}")
    found = f"{here}, code {code_digest()[:12]}; the coordinator has "
    return problem(
        VERSION,
        f"{found}{lesionfed_version}, code {digest[:12]} by the kit of {issued[:10]}",
        "Install the coordinator's version: a site with other code is refused. If the coordinator "
        "has changed version since, ask for a new kit and join with it.",
    )


def secret_files(paths: Sequence[Path], *, made_by: str) -> CheckResult:
    """Passed where each file exists and neither group nor others may do anything with it.

    made_by   the command that makes a missing one
    """
    try:
        missing = [path for path in paths if not path.is_file()]
        readable = [path for path in paths if path.is_file() and path.stat().st_mode & OTHERS]
    except OSError as error:
        found = f"{error.filename}: {error.strerror}"
        return problem(SECRETS, found, "Run this as the user whom the files belong to.")
    if missing:
        return problem(SECRETS, f"missing: {_names(missing)}", f"Make it: {made_by}.")
    if readable:
        return problem(
            SECRETS,
            f"others on this machine may use {_names(readable)}",
            f"chmod 600 {_names(readable)}, and make new ones if anyone else had access.",
        )
    return passed(SECRETS, f"{', '.join(path.name for path in paths)}: 0600")


def _names(paths: Sequence[Path]) -> str:
    return " ".join(str(path) for path in paths)
