#!/usr/bin/env python3
"""Runs every example beside this file with the same arguments."""

import glob
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
failed = 0
for path in sorted(glob.glob(os.path.join(HERE, "*.py"))):
    name = os.path.basename(path)
    # The last needs to be run twice, with a kill in between: tests/crash/sessions.py does that.
    if name in ("run.py", "common.py", "durable_sessions.py"):
        continue
    done = subprocess.run([sys.executable, path, *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    text = done.stdout.decode(errors="replace")
    good = done.returncode == 0 and text.rstrip().endswith("ok")
    failed += not good
    print(f"{name:<24} {'ok' if good else 'FAILED'}", flush=True)
    print("".join(f"    {line}\n" for line in text.splitlines()[:None if not good else -1]), end="", flush=True)
sys.exit(1 if failed else 0)
