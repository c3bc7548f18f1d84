#!/usr/bin/env python3
"""The example of durable sessions, with a SIGKILL in the middle: nothing a user was told of may be gone.

Runs `examples/durable_sessions.py write` against the server, kills the server, starts it again and runs `check`.
redis-py is installed below target/ by the interop harness; without it this one says so and ends well.

    tests/crash/sessions.py           3 kills
    tests/crash/sessions.py --full    20
"""

import glob
import os
import random
import subprocess
import sys
import time

from harness import ROOT, Node, arguments, is_basalt, title, verdict

EXAMPLE = os.path.join(ROOT, "examples", "durable_sessions.py")
FLAGS = ("--appendonly", "yes", "--appendfsync", "always")


def python():
    """An interpreter that has redis-py; None if there is none."""
    for path in [sys.executable, *glob.glob(os.path.join(ROOT, "target", "interop", "*", "bin", "python*"))]:
        if subprocess.run([path, "-c", "import redis"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def main():
    """The kills."""
    given = arguments(__doc__)
    runner = python()
    if not runner:
        print("sessions: skipped, no redis-py (tests/interop/run.py installs it)")
        sys.exit(0)
    failures = []
    for program in given.server:
        total = 0
        with Node(program, *FLAGS) as node:
            for _ in range(20 if given.full else 3):
                node.start()
                words = [runner, EXAMPLE, "{}", "--port", str(node.port)]
                writer = subprocess.Popen([word.format("write") for word in words], stdout=subprocess.PIPE, text=True)
                first = writer.stdout.readline()
                time.sleep(0.2 + random.random())
                node.kill()
                told = first + writer.communicate(timeout=20)[0]
                node.start()
                words[-1] = str(node.port)
                done = subprocess.run([word.format("check") for word in words], input=told, capture_output=True, text=True,
                                      timeout=60, check=False)
                total += told.count("\n")
                if done.returncode and is_basalt(program):
                    failures.append(done.stdout[-1500:] + done.stderr[-1500:])
                node.kill()
        print(f"{title(program):18} sessions: {total} changes told, {len(failures)} of the checks failed", flush=True)
    verdict("sessions", failures)


if __name__ == "__main__":
    main()
