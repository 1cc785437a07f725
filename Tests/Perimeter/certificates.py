"""A certificate authority of a test's own."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """An authority (`ca`), and a server's certificate and key that it made."""
    ca: Path
    leaf: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, *names: str) -> Certificates:
        """`names` as `subjectAltName` writes them: `DNS:localhost`, `IP:127.0.0.1`."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(*(folder / name for name in ("ca.pem", "leaf.pem", "leaf.key")))
        ca_key = folder / "ca.key"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        _openssl(
            "req", "-x509", *curve, "-keyout", ca_key, "-out", made.ca, "-subj", "/CN=perimeter test", "-addext", "keyUsage=critical,keyCertSign")
        _openssl(
            "req", "-x509", *curve, "-CA", made.ca, "-CAkey", ca_key, "-keyout", made.key, "-out", made.leaf,
            "-subj", f"/CN={names[0].partition(':')[2]}", "-addext", f"subjectAltName={','.join(names)}",
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth")
        # The worker reads it, as an ordinary user too.
        made.ca.chmod(0o644)
        return made

    def context(self) -> ssl.SSLContext:
        """A server's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.leaf, self.key)
        return context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
