#!/usr/bin/env python3
"""All crash harnesses in their small size, on Basalt; under two minutes on two free cores. Each can be run by
itself, on other servers and in the size for a release: `tests/crash/NAME.py --help`.
"""

import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ALL = [
    ("start.py", "--only-basalt"),
    ("kill.py", "--only-basalt"),
    ("kill.py", "--only-basalt", "--self-test"),
    ("points.py", "--only-basalt"),
    ("flips.py",),
    ("disk.py", "--only-basalt"),
    ("power.py", "--only-basalt", "--cuts", "2"),
    ("sessions.py", "--only-basalt"),
    ("peers.py",),
]


def main():
    """One after the other; all of them even if one fails."""
    failed = []
    for words in ALL:
        began = time.monotonic()
        print(f"--- {' '.join(words)}", flush=True)
        try:
            code = subprocess.run([sys.executable, os.path.join(HERE, words[0]), *words[1:]], timeout=300, check=False).returncode
        except subprocess.TimeoutExpired:
            code = "time-out"
        print(f"--- {words[0]}: {'ok' if code == 0 else f'FAILED ({code})'} ({time.monotonic() - began:.0f} s)", flush=True)
        if code:
            failed.append(words[0])
    print(f"crash: {len(ALL) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}".rstrip())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
