"""Looks for a value in files and memory: as it is, and in the forms in which it may hide."""

from __future__ import annotations

import base64
import os
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path

#: More than any file or mapping of these tests has.
MOST_BYTES = 256 << 20


def forms(value: str) -> dict[str, bytes]:
    raw = value.encode()
    found = {
        "raw": raw, "reversed": raw[::-1], "hex": raw.hex().encode(), "hex upper": raw.hex().upper().encode(),
        "url": urllib.parse.quote(value, safe="").encode(), "utf-16": value.encode("utf-16-le"),
        "url all": "".join(f"%{b:02X}" for b in raw).encode(), "url all lower": "".join(f"%{b:02x}" for b in raw).encode(),
    }
    for alignment in range(3):
        # The characters that depend on the value alone, whatever stands before and after it.
        text = base64.b64encode(b"\0" * alignment + raw)
        start, end = (alignment * 8 + 5) // 6, (alignment + len(raw)) * 8 // 6
        found[f"base64+{alignment}"] = text[start:end]
        found[f"base64url+{alignment}"] = text[start:end].replace(b"+", b"-").replace(b"/", b"_")
    return found


class Search:
    """Collects where the value was found; `looked` counts what was searched, so that an empty search shows."""

    def __init__(self, value: str) -> None:
        self._forms = forms(value)
        self.found: list[str] = []
        self.looked = 0
        self.bytes = 0

    def data(self, name: str, data: bytes, *, unpack: bool = True) -> None:
        self.looked += 1
        self.bytes += len(data)
        self.found += [f"{name}: {form}" for form, needle in self._forms.items() if needle in data]
        if not unpack:
            return
        place = data.find(b"\x1f\x8b\x08")
        while place >= 0:
            try:
                inside = zlib.decompressobj(31).decompress(data[place:place + (4 << 20)], 16 << 20)
            except zlib.error:
                inside = b""
            if inside:
                self.data(f"{name} (gzip at {place})", inside, unpack=False)
            place = data.find(b"\x1f\x8b\x08", place + 1)

    def tree(self, folder: Path, *, leave: tuple[Path, ...] = ()) -> None:
        """Names, links and contents of everything below a folder."""
        for root, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if Path(root, name) not in leave]
            for name in files + folders:
                path = Path(root, name)
                if path in leave:
                    continue
                self.data(f"name {path}", os.fsencode(name))
                if path.is_symlink():
                    self.data(f"link {path}", os.fsencode(os.readlink(path)))
                elif path.is_file():
                    with path.open("rb") as file:
                        self.data(str(path), file.read(MOST_BYTES))

    def process(self, pid: int) -> None:
        """Environment, arguments and all readable memory of a process."""
        for name in ("environ", "cmdline"):
            self.data(f"{name} of {pid}", Path(f"/proc/{pid}/{name}").read_bytes())
        for start, size in _mappings(pid):
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                try:
                    data = os.pread(memory.fileno(), min(size, MOST_BYTES), start)
                except OSError:
                    continue
            self.data(f"memory of {pid} at {start:x}", data)


def _mappings(pid: int) -> Iterator[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        span, modes = line.split()[:2]
        start, end = (int(edge, 16) for edge in span.split("-"))
        # What cannot be written is the program's own text, which is a file.
        if modes.startswith("rw") and "[vvar" not in line:
            yield start, end - start


def descendants(pid: int) -> list[int]:
    """Everything that a process has started, by the parents that /proc names."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, rest = [], [pid]
    while rest:
        below = children.get(rest.pop(), [])
        found += below
        rest += below
    return found


def sandboxed(pid: int) -> list[int]:
    """Those of its descendants that live in a process namespace of their own."""
    own = os.readlink("/proc/self/ns/pid")
    found = []
    for one in descendants(pid):
        try:
            if os.readlink(f"/proc/{one}/ns/pid") != own:
                found.append(one)
        except OSError:
            continue
    return found
