"""The environment of a row: versions, device, threads, the state of git."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import vitmem


def environment(device: torch.device, devices: int = 1) -> dict[str, Any]:
    """Return versions, device and git state as plain JSON types (no host name and no path).

    The number of ``devices`` is included if it is above 1.
    """
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "torchvision", "timm", "lightning", "transformers")},
        "vitmem": vitmem.__version__,
        "device": device.type,
        "device_name": _device_name(device),
        **({"devices": devices} if devices > 1 else {}),
        "threads": torch.get_num_threads(),
        "git": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "vitmem")),
    }


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.machine())


@cache
def _git(*arguments: str) -> str | None:
    """Return the output of git in the folder of the package, ``None`` outside a checkout."""
    folder = Path(vitmem.__file__).parent
    try:
        out = subprocess.run(["git", *arguments], cwd=folder.parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return out.stdout.strip() if out.returncode == 0 else None
