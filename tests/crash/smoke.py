#!/usr/bin/env python3
"""Kills the server with SIGKILL under load, five times: it must start and answer each time.

There is no persistence yet, so nothing is said about the data; what is checked is that no left
over file, socket or port keeps the server from starting again in the same directory.
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.resp import Closed, encode
from lib.servers import Server, basalt_path

ROUNDS = 5
WRITERS = 4


def load(server, stop, done):
    """Writes without a pause until the connection breaks."""
    try:
        conn = server.connect()
        n = 0
        while not stop.is_set():
            batch = [encode([b"SET", b"k%d" % (n + i), b"v" * (i % 200)]) +
                     encode([b"RPUSH", b"l%d" % (i % 7), b"%d" % i]) for i in range(50)]
            conn.send(b"".join(batch))
            conn.replies(100)
            n += 50
            done[0] += 100
    except (Closed, OSError):
        pass


def main():
    """Rounds of load, SIGKILL and start."""
    server = Server(basalt_path())
    for number in range(1, ROUNDS + 1):
        stop, done = threading.Event(), [0]
        writers = [threading.Thread(target=load, args=(server, stop, done)) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.5)
        if not server.alive():
            sys.exit(f"round {number}: the server ended by itself\n{server.log_text()[-3000:]}")
        server.kill()
        stop.set()
        for writer in writers:
            writer.join()
        if not done[0]:
            sys.exit(f"round {number}: no command was answered")
        began = time.monotonic()
        server.start()
        conn = server.connect()
        assert conn.call("SET", "after", number) == b"OK"
        assert conn.call("GET", "after") == b"%d" % number
        conn.close()
        print(f"round {number}: {done[0]} commands, killed, started again in {time.monotonic() - began:.2f} s", flush=True)
    server.stop()
    print(f"crash smoke: {ROUNDS} of {ROUNDS} starts succeeded")


if __name__ == "__main__":
    main()
