"""Programs that nobody here wrote, installed by name into a temporary folder; skipped without a registry or Node.js."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_INSTALL_SECONDS = 180


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ocpp-outside-")


@functools.cache
def _install(package: str) -> str:
    """Return why it cannot be had; empty if it is there."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "there is no Node.js on this machine"
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix", _folder().name]
    command = [npm, "install", *options, package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"{package} could not be fetched in {_INSTALL_SECONDS} s"
    return "" if done.returncode == 0 else f"{package} cannot be fetched: {done.stderr.strip()[-200:] or 'no registry'}"


def node_package(package: str) -> Path:
    """Return the folder with `node_modules`, or skip the test."""
    reason = _install(package)
    if reason:
        pytest.skip(reason)
    return Path(_folder().name)


def run_node(folder: Path, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run Node.js where the packages are."""
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "0", "CI": "1"}
    return subprocess.run(
        ["node", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
