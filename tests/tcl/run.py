#!/usr/bin/env python3
"""Runs Redis's own Tcl tests against a Basalt started here, in external mode; those of persistence
start and kill servers by themselves, with Basalt in the place of src/redis-server.

    REDIS_TCL_DIR=/path/to/redis-7.2.4 tests/tcl/run.py [--write] [--only unit/type/hash]

The Redis source tree is not part of this repository: without REDIS_TCL_DIR nothing runs and the
exit code is 0. Results are compared with expected.tsv (file, test, result, reason): a test that
is expected to pass and does not, or that is not in the table and fails, is an error.
`--write` writes the table anew and keeps the reasons.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from lib.servers import Server, basalt_path

FILES = ["unit/type/string", "unit/type/incr", "unit/type/list", "unit/type/list-2", "unit/type/list-3",
         "unit/type/hash", "unit/type/set", "unit/type/zset", "unit/type/stream", "unit/type/stream-cgroups", "unit/hyperloglog", "unit/geo", "unit/keyrandom", "unit/scan", "unit/expire",
         "unit/multi", "unit/pubsub", "unit/pubsubshard", "unit/querybuf", "unit/protocol", "unit/info",
         "unit/other", "unit/introspection", "unit/sort", "unit/dump", "unit/obuf-limits", "unit/limits",
         "unit/maxmemory", "unit/slowlog", "unit/latency-monitor", "unit/scripting", "unit/functions"]
# The harness starts the servers of these.
STARTING = ["integration/rdb", "integration/aof", "integration/aof-race", "integration/aof-multi-part"]
EXPECTED = os.path.join(HERE, "expected.tsv")
LINE = re.compile(r"\x1b\[[0-9;]*m")
RESULT = re.compile(r"^\[(ok|err|ignore|skip|exception)\]: (.*?)(?: \(\d+ ms\))?$")


# Commands the harness calls before every file that this server does not have: made optional in
# the copy, so that the tests themselves run.
OPTIONAL = [(re.compile(r"^(\s*)((?:r|\$\w+) function flush)\s*$", re.M | re.I), r"\1catch {\2}"),
            # Readers of the log and its manifest pass over our checksum lines, as servers do.
            (re.compile(r"(?<=\n)    if \{\[gets \$fp count\] == -1\} return \"\"\n"),
             '    while 1 {\n        if {[gets $fp count] == -1} {return ""}\n'
             '        if {![string match "#BSLT1*" $count]} break\n    }\n'),
            (re.compile(r"^( *)lappend lines \$line$", re.M), r'\1if {[string match "#BSLT1*" $line]} continue\n\1lappend lines $line'),
            # Tests replace the files in a server's directory, which Basalt takes for lost data.
            (re.compile(r"^    set config \[concat \$defaults \$overrides\]$", re.M),
             r'\g<0>\n    if {[dict exists $overrides dir]} {file delete [file join [dict get $overrides dir] basalt.lineage]}')]
# Basalt goes on behind a file of another server in a second one. A test that writes the first anew means it to be all.
OPTIONAL.append((re.compile(r"^(    set fp \[open \$aof_file w\+\]\n    uplevel 1 \$code\n    close \$fp\n)", re.M),
                 r"""\1    foreach manifest [glob -nocomplain -directory $dir *.manifest] {
        set text [exec cat $manifest]
        if {[string match "#BSLT1*" $text]} {
            set out [open $manifest w]
            puts $out "file [file tail $aof_file] seq 1 type i"
            close $out
        }
    }
"""))
HELPERS = ("tests/support/server.tcl", "tests/support/util.tcl", "tests/support/aofmanifest.tcl", "tests/test_helper.tcl")


def base_port(index):
    """The harness listens below this port: apart for runs beside each other."""
    first = os.environ.get("TEST_PORTS", "").partition("-")[0]
    if first:
        return int(first) + 33
    return 21000 + 100 * index + (os.getpid() % 50) * 200


def link_sources(source, tree):
    """The programs of the tree, with Basalt as its server."""
    os.mkdir(os.path.join(tree, "src"))
    for entry in os.listdir(os.path.join(source, "src")):
        os.symlink(os.path.join(source, "src", entry), os.path.join(tree, "src", entry))
    server = os.path.join(tree, "src", "redis-server")
    os.remove(server)
    os.symlink(os.path.abspath(basalt_path()), server)


def run_file(index, name, source, seconds):
    """`{test: (result, detail)}` of one file."""
    work = tempfile.mkdtemp(prefix="basalt-tcl-")
    # The harness writes below its own directory: each run gets a shallow copy.
    tree = os.path.join(work, "redis")
    os.mkdir(tree)
    starting = name in STARTING
    if starting:
        link_sources(source, tree)
    for entry in ("runtest", "utils", "deps") if starting else ("runtest", "src", "utils", "deps"):
        if os.path.exists(os.path.join(source, entry)):
            os.symlink(os.path.join(source, entry), os.path.join(tree, entry))
    shutil.copytree(os.path.join(source, "tests"), os.path.join(tree, "tests"),
                    ignore=shutil.ignore_patterns("tmp", "*.so", "*.o", "*.xo"))
    os.makedirs(os.path.join(tree, "tests", "tmp"), exist_ok=True)
    for helper in HELPERS:
        path = os.path.join(tree, helper)
        with open(path, encoding="utf-8") as text:
            changed = text.read()
        for pattern, optional in OPTIONAL:
            changed = pattern.sub(optional, changed)
        with open(path, "w", encoding="utf-8") as text:
            text.write(changed)
    server = None
    where = ["--portcount", "16", "--tags", "-needs:repl"]
    if not starting:
        server = Server(basalt_path(), "--enable-debug-command", "yes", "--enable-protected-configs", "yes",
                        "--enable-module-command", "yes")
        where = ["--host", "127.0.0.1", "--port", str(server.port), "--tags", "-slow -needs:repl -needs:save"]
    try:
        done = subprocess.run(["tclsh", "tests/test_helper.tcl", *where, "--single", name, "--clients", "1", "--durable",
                               "--baseport", str(base_port(index)), "--timeout", str(seconds)],
                              cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 30, check=False)
        output, ended = done.stdout, True
    except subprocess.TimeoutExpired as error:
        output, ended = error.stdout or b"", False
    alive = server is None or server.alive()
    log = server.log_text() if server else ""
    if server:
        server.stop()
    shutil.rmtree(work, ignore_errors=True)
    results = {}
    lines = output.decode("utf-8", "replace").splitlines()
    for line, follows in zip(lines, lines[1:] + [""]):
        match = RESULT.match(LINE.sub("", line).strip())
        if match:
            kind, text = match.groups()
            test, _, detail = text.partition(" in tests/")
            if kind == "ignore" or kind == "skip":
                test, _, detail = text.partition(": ")
            result = {"ok": "pass", "err": "fail", "exception": "fail"}.get(kind, "skip")
            if result != "skip" or test not in results:
                # The line behind a failure says what was expected.
                detail = LINE.sub("", follows).strip()[:160] if result == "fail" else detail
                results[test.strip()] = (result, detail)
    # The harness ends a file at the first error outside a test.
    tail = LINE.sub("", output.decode("utf-8", "replace")).strip().splitlines()
    complete = ended and alive and any("All tests passed" in line or "!!! WARNING" in line for line in tail) \
        and not any("[exception]" in line for line in tail)
    if not complete:
        why = next((line for line in tail if "exception" in line), "time limit" if not ended else "")
        if not alive:
            why = "server ended: " + " ".join(log.strip().splitlines()[-2:])
        results["(whole file)"] = ("fail", why[:200])
    else:
        results["(whole file)"] = ("pass", "")
    return results


def load_expected():
    """`{(file, test): (result, reason)}`."""
    table = {}
    if os.path.exists(EXPECTED):
        with open(EXPECTED, encoding="utf-8") as source:
            for line in source:
                parts = line.rstrip("\n").split("\t")
                if len(parts) >= 3 and not line.startswith("#"):
                    table[parts[0], parts[1]] = (parts[2], parts[3] if len(parts) > 3 else "")
    return table


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", help="comma-separated files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=240, help="limit for one file")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    source = os.environ.get("REDIS_TCL_DIR")
    if not source:
        print("skipped: REDIS_TCL_DIR names no Redis source tree (its tests are not part of this repository)")
        return 0
    if not shutil.which("tclsh"):
        print("skipped: no tclsh")
        return 0
    files = options.only.split(",") if options.only else FILES + STARTING
    files = [f for f in files if os.path.exists(os.path.join(source, "tests", f + ".tcl"))]
    expected, seen, wrong = load_expected(), {}, []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, results in zip(files, pool.map(lambda f: run_file(files.index(f), f, source, options.seconds), files)):
            counts = {"pass": 0, "fail": 0, "skip": 0}
            for test, (result, detail) in results.items():
                counts[result] += test != "(whole file)"
                before, reason = expected.get((name, test), ("pass", ""))
                seen[name, test] = (result, reason or (detail if result == "fail" else ""))
                if result == "fail" and before != "fail":
                    wrong.append((name, test, detail))
                if options.verbose and result == "fail":
                    print(f"  FAIL {name}: {test}: {detail}")
            lost = [t for (f, t), (r, _) in expected.items() if f == name and r == "pass" and t not in results]
            wrong += [(name, test, "did not run") for test in lost]
            whole = results["(whole file)"]
            print(f"{name:<26}{counts['pass']:>5} passed{counts['fail']:>5} failed{counts['skip']:>5} skipped"
                  f"{'' if whole[0] == 'pass' else '   INCOMPLETE ' + whole[1]}", flush=True)
    if options.write:
        table = {k: v for k, v in expected.items() if k[0] not in files}
        table.update(seen)
        with open(EXPECTED, "w", encoding="utf-8") as out:
            out.write("# Redis 7.2.4 Tcl tests, in external mode but for integration/: file, test, result, reason. Written by run.py --write.\n")
            for (name, test), (result, reason) in sorted(table.items()):
                out.write(f"{name}\t{test}\t{result}\t{' '.join(reason.split())}\n")
        return 0
    for name, test, detail in wrong:
        print(f"UNEXPECTED {name}: {test}: {detail}")
    total = {kind: sum(r == kind for (_, t), (r, _) in seen.items() if t != "(whole file)") for kind in ("pass", "fail", "skip")}
    print(f"{total['pass']} passed, {total['fail']} failed ({len(wrong)} not expected), {total['skip']} skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
