"""Where `postern` dials for a service that the operator names: by no name a metadata service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from postern_fixture import Postern, clean_environment

#: In namespaces of its own: `localhost` is what argument 2 says, an HTTP server at that address counts its requests on standard error.
HELPER = """
import fcntl, http.server, os, socket, struct, subprocess, sys, threading
folder, address, command = sys.argv[1], sys.argv[2], sys.argv[3:]
control = socket.socket()
fcntl.ioctl(control, 0x8914, struct.pack('16sh14x', b'lo', 0x49))
fcntl.ioctl(control, 0x8916, struct.pack('16sHH4s8x', b'lo:1', socket.AF_INET, 0, socket.inet_aton('169.254.169.254')))
for name, text in (('hosts', address + ' localhost\\n'), ('nsswitch.conf', 'hosts: files\\n')):
    open(folder + '/' + name, 'w').write(text)
    subprocess.check_call(['mount', '--bind', folder + '/' + name, '/etc/' + name])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print('REQUEST', self.path, file=sys.stderr, flush=True)
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'{}')
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer((address, 8080), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
done = subprocess.run(command)
sys.exit(done.returncode)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.parametrize(("address", "is_dialled"), [("127.0.0.1", True), ("169.254.169.254", False)])
def test_a_name_that_leads_to_a_metadata_service_gets_no_request(postern: Postern, tmp_path: Path, address: str, is_dialled: bool) -> None:
    command = [str(postern.binary), "agents", "list", "--json"]
    done = subprocess.run(
        ["unshare", "-mn", sys.executable, "-c", HELPER, str(tmp_path), address, *command], capture_output=True, text=True, timeout=120, check=False,
        env=clean_environment(POSTERN_BASE_URL="http://localhost:8080", POSTERN_API_KEY="key-key-key-key-key-key-key"))
    assert ("REQUEST /v1/agents" in done.stderr) == is_dialled, done.stderr
    if not is_dialled:
        assert done.returncode != 0 and "localhost leads to 169.254.169.254" in done.stderr
