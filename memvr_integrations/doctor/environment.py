"""The machine: versions, devices, memory and disk, before any model is loaded."""

import os
import platform
import shutil
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from memvr_integrations import __version__
from memvr_integrations.doctor.finding import Finding, carried_out, failed, not_applicable, ok

_PACKAGE = "memvr-integrations"
_FOR_WORK_ON_IT = {"test", "docs", "dev"}
_DRIVER = Path("/proc/driver/nvidia/version")
_MEMORY = Path("/proc/meminfo")
_LEAST_DISK = 1e9  # bytes: less holds no checkpoint


def examine_environment() -> Iterator[Finding]:
    """Each finding as it is known."""
    yield carried_out("versions", versions)
    yield carried_out("packages", packages)
    for name in _extras():
        yield carried_out(f"extra {name}", partial(extra, name))
    yield carried_out("device", device)
    yield carried_out("free memory", free_memory)
    yield carried_out("free disk", free_disk)


def versions() -> Finding:
    """This package, Python and the system."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return ok(f"memvr {__version__}, Python {platform.python_version()}, {system}")


def packages() -> Finding:
    """What this package can't do without, against what it declares."""
    try:
        needed = _needed()
    except metadata.PackageNotFoundError:
        return not_applicable(
            "runs from a folder that is not installed, so nothing says which versions it needs; "
            "`pip install -e .` installs it"
        )
    return _against(needed)


def extra(name: str) -> Finding:
    """What an extra needs, where its first package is there."""
    needed = _needed(name)
    if _version(needed[0].name) is None:
        return not_applicable(f'not installed; pip install -e ".[{name}]" adds it')
    return _against(needed)


def _against(needed: list[Requirement]) -> Finding:
    there = {one: _version(one.name) for one in needed}
    wrong = [one for one, version in there.items() if not version or not _fits(one, version)]
    if not wrong:
        return ok(", ".join(f"{one.name} {version}" for one, version in there.items()))
    problems = (f"{one.name} {there[one] or 'is missing'} (needs {one.specifier})" for one in wrong)
    wanted = (f'"{one.name}{one.specifier}"' for one in wrong)
    return failed(", ".join(problems), f"pip install {' '.join(wanted)}")


def _fits(needed: Requirement, version: str) -> bool:
    return needed.specifier.contains(version, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _needed(extra: str = "") -> list[Requirement]:
    """What an extra needs beside what is needed anyway; that is the extra without a name."""
    found = map(Requirement, metadata.requires(_PACKAGE) or ())
    return [
        one
        for one in found
        if (one.marker.evaluate({"extra": extra}) if one.marker else not extra)
        and not (extra and one.marker and one.marker.evaluate({"extra": ""}))
    ]


def _extras() -> list[str]:
    try:
        named = metadata.metadata(_PACKAGE).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    return sorted(name for name in set(named) - _FOR_WORK_ON_IT if _needed(name))


def device() -> Finding:
    """The devices that torch sees, and what "auto" takes."""
    import torch

    from memvr_integrations.backend.hosting.load_config import LoadConfig
    from memvr_integrations.backend.hosting.loading import pick_device, pick_dtype

    chosen = pick_device("auto")
    if chosen.type != "cuda" and _DRIVER.exists():
        build = torch.version.cuda
        advice = f"install a driver for CUDA {build}" if build else "install torch with CUDA"
        return failed(
            f"this machine has an NVIDIA driver, but torch {torch.__version__} sees no GPU",
            f"{advice}, or go on with device='cpu'",
        )
    names = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
    dtype = str(pick_dtype(LoadConfig(), chosen)).removeprefix("torch.")
    if dtype == "auto":
        dtype = "float32 below a billion weights, bfloat16 above"
    return ok(f"{', '.join(names) or 'no GPU'}; auto takes {chosen.type} and {dtype}")


def free_memory() -> Finding:
    """Of the machine, and of each GPU."""
    import torch

    if not _MEMORY.exists():
        return not_applicable(f"{platform.system()} does not say it here")
    fields = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
    main = int(fields["MemAvailable"].split()[0]) * 1024
    gpus = [torch.cuda.mem_get_info(at)[0] for at in range(torch.cuda.device_count())]
    shown = [f"GPU {at}: {free / 1e9:.1f} GB" for at, free in enumerate(gpus)]
    return ok(", ".join([f"{main / 1e9:.1f} GB", *shown]))


def free_disk() -> Finding:
    """Where the hub's cache lies, or will lie."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE)
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    says = f"{free / 1e9:.1f} GB for downloads in {folder}"
    if not os.access(there, os.W_OK):
        return failed(f"{folder} can't be written to", "set HF_HOME to a folder of your own")
    if free < _LEAST_DISK:
        return failed(says, "free some, or set HF_HOME to a folder on another disk")
    return ok(says)
