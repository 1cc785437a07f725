"""Takes the connections of a listening socket, each on a thread of its own, until it is closed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


class Acceptor:
    def __init__(self, name: str, listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
        self._listener, self._talk = listener, talk
        self.connections = 0
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        # Ends the thread that waits in `accept` too, which closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()
