"""A proxy in front of a server that changes one byte of one reply when armed: the proof that the
differential test can fail."""

import select
import socket
import threading


class CorruptingProxy:
    """Forwards connections to a port on loopback."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.armed = self.corrupted = self.done = False
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self):
        """Lets the next large enough chunk of replies be corrupted, once."""
        self.armed = True

    def stop(self):
        """Accepts no more connections."""
        self.done = True
        self.listener.close()

    def _accept(self):
        while not self.done:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client):
        server = socket.create_connection(("127.0.0.1", self.target))
        with client, server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    try:
                        data = ready.recv(1 << 18)
                        if not data:
                            return
                        if ready is server and self.armed and not self.corrupted:
                            data = self._corrupt(data)
                        (client if ready is server else server).sendall(data)
                    except OSError:
                        return

    def _corrupt(self, data):
        """Turns the last integer reply `:n` of the chunk into another one."""
        at = data.rfind(b"\r\n:")
        if at < 0 or at + 3 >= len(data) or not 48 <= data[at + 3] <= 57:
            return data
        self.corrupted = True
        wrong = 48 + (data[at + 3] - 48 + 1) % 10
        return data[:at + 3] + bytes([wrong]) + data[at + 4:]
