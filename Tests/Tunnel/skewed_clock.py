"""A clock that is off, in processes that run."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest


class SkewedClock:
    """What a process is started with so that its clock can be set while it runs."""

    def __init__(self, folder: Path, name: str) -> None:
        if not shutil.which("gcc"):
            pytest.skip("gcc is not installed")
        self._file = folder / f"{name}.skew"
        self._file.write_bytes(struct.pack("q", 0))
        library = folder / "skewed_clock.so"
        if not library.exists():
            subprocess.run(
                ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(Path(__file__).with_suffix(".c"))], check=True, capture_output=True,
                timeout=60)
        self.environment = {"LD_PRELOAD": str(library), "SKEW_FILE": str(self._file)}

    def set(self, seconds: int) -> None:
        """How far the clock is ahead from now on."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))
