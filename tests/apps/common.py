"""What the programs for Python share: the port, and asking for the server to be killed."""

import faulthandler
import os
import sys
import time

PORT = int(os.environ.get("APP_PORT") or sys.argv[1])

# Says where it is before it is killed for taking too long.
faulthandler.dump_traceback_later(75)


def kill_server():
    """The server is killed and started again; returns when it is up."""
    print("kill", flush=True)
    assert sys.stdin.readline() == "up\n"


def until(what, holds, seconds=20):
    """Waits for a condition, looking again and again; its value."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.02)
    return value
