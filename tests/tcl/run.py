#!/usr/bin/env python3
"""Runs Redis's own Tcl tests against Basalt: in external mode, against one server started here, and in
normal mode, in which the harness starts and kills servers by itself, with Basalt in the place of
src/redis-server. Normal mode has the slow tests and those that need a server of their own too.

    REDIS_TCL_DIR=/path/to/redis-7.2.4 tests/tcl/run.py [--write] [--only unit/type/hash,normal:unit/dump]
    ... --mode external|normal      one of the two (both)

The Redis source tree is not part of this repository: without REDIS_TCL_DIR nothing runs and the
exit code is 0. Results are compared with expected.tsv (file, test, result, reason; the files of
normal mode begin with `normal:`): a test that is expected to pass and does not, or that is not in
the table and fails, is an error. `--write` writes the table anew and keeps the reasons. A reason that
begins with `needs` is the work of another milestone, one that begins with `ours` is a defect, and any
other is a deliberate difference. `--summary` prints all of that as it stands in docs/compatibility.md.
"""

import argparse
import concurrent.futures
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from lib.servers import Server, basalt_path

# What needs TLS or a second server, or is about helpers of the harness, is not here.
FILES = ["unit/type/string", "unit/type/incr", "unit/type/list", "unit/type/list-2", "unit/type/list-3",
         "unit/type/hash", "unit/type/set", "unit/type/zset", "unit/type/stream", "unit/type/stream-cgroups",
         "unit/hyperloglog", "unit/geo", "unit/bitops", "unit/bitfield", "unit/keyspace", "unit/scan", "unit/expire",
         "unit/multi", "unit/pubsub", "unit/pubsubshard", "unit/querybuf", "unit/protocol", "unit/info",
         "unit/info-command", "unit/other", "unit/introspection", "unit/introspection-2", "unit/sort", "unit/dump",
         "unit/obuf-limits", "unit/limits", "unit/maxmemory", "unit/memefficiency", "unit/slowlog",
         "unit/latency-monitor", "unit/scripting", "unit/functions", "unit/lazyfree", "unit/pause", "unit/tracking",
         "unit/auth", "unit/acl", "unit/acl-v2", "unit/quit",
         "unit/aofrw", "unit/oom-score-adj", "unit/shutdown", "unit/networking", "unit/client-eviction",
         "unit/violations", "unit/replybufsize"]
# Only in normal mode.
STARTING = ["integration/rdb", "integration/aof", "integration/aof-race", "integration/aof-multi-part",
            "integration/convert-zipmap-hash-on-load",
            "integration/convert-ziplist-hash-on-load", "integration/convert-ziplist-zset-on-load",
            "integration/redis-cli", "integration/redis-benchmark"]
NORMAL = "normal:"
# About the defragmentation of jemalloc: not in normal mode.
LATER = {"unit/memefficiency"}
# Tests that wait for ever for what is not there yet, or spoil those behind them. They count as failed.
LEFT_OUT = {"normal:unit/type/set": {"SRANDMEMBER with a dict containing long chain":
                                     "kills a child process; there is none"}}
EXPECTED = os.path.join(HERE, "expected.tsv")
LINE = re.compile(r"\x1b\[[0-9;]*m")
RESULT = re.compile(r"^\[(ok|err|ignore|skip|exception)\]: (.*?)(?: \(\d+ ms\))?$")


# Commands the harness calls before every file that this server does not have: made optional in
# the copy, so that the tests themselves run.
OPTIONAL = [(re.compile(r"^(\s*)((?:r|\$\w+) function flush)\s*$", re.M | re.I), r"\1catch {\2}"),
            # Readers of the log and its manifest pass over our checksum lines, as servers do.
            (re.compile(r"(?<=\n)    if \{\[gets \$fp count\] == -1\} return \"\"\n"),
             '    while 1 {\n        if {[gets $fp count] == -1} {return ""}\n'
             '        if {![regexp {^#(BSLT1|SYNC)} $count]} break\n    }\n'),
            (re.compile(r"^( *)lappend lines \$line$", re.M), r'\1if {[regexp {^#(BSLT1|SYNC)} $line]} continue\n\1lappend lines $line'),
            # Directives that Redis does not have and that are fixed at the start.
            (re.compile(r"^        set skip_configs \{\n", re.M), r"\g<0>            allow-data-loss\n            data-set-id\n            restore-identity\n            restore-on-start\n"),
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
# There is no script debugger: what begins it outside a test would end the file.
OPTIONAL.append((re.compile(r"^(\s*)(r script debug sync)$", re.M), r"\1catch {\2}"))
# Rows that are no tests: how a file ended, and what fails in the body of a server, outside a test.
WHOLE, BETWEEN = "(whole file)", "(between tests)"
HELPERS = ("tests/support/server.tcl", "tests/support/util.tcl", "tests/support/aofmanifest.tcl", "tests/test_helper.tcl",
           "tests/unit/introspection.tcl", "tests/unit/scripting.tcl")


def base_port(lane):
    """The harness listens below this port: apart for runs beside each other, and behind the ports of
    servers started here, if these are given."""
    last = os.environ.get("TEST_PORTS", "").partition("-")[2]
    if last:
        return int(last) + 34 + 46 * lane
    return 21000 + 100 * lane + (os.getpid() % 50) * 200


def link_sources(source, tree):
    """The programs of the tree, with Basalt as its server."""
    os.mkdir(os.path.join(tree, "src"))
    for entry in os.listdir(os.path.join(source, "src")):
        os.symlink(os.path.join(source, "src", entry), os.path.join(tree, "src", entry))
    server = os.path.join(tree, "src", "redis-server")
    os.remove(server)
    os.symlink(os.path.abspath(basalt_path()), server)


def run_file(lane, name, source, seconds, keep):
    """`{test: (result, detail)}` of one file."""
    work = tempfile.mkdtemp(prefix="basalt-tcl-")
    # The harness writes below its own directory: each run gets a shallow copy.
    tree = os.path.join(work, "redis")
    os.mkdir(tree)
    starting = name.startswith(NORMAL)
    left_out = LEFT_OUT.get(name, {})
    name = name.removeprefix(NORMAL)
    left_out = left_out | LEFT_OUT.get(name, {})
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
    skipped = [word for test in left_out for word in ("--skiptest", test)]
    where = ["--portcount", "10", "--tags", "-needs:repl"]
    if not starting:
        server = Server(basalt_path(), "--enable-debug-command", "yes", "--enable-protected-configs", "yes",
                        "--enable-module-command", "yes")
        where = ["--host", "127.0.0.1", "--port", str(server.port), "--tags", "-slow -needs:repl"]
    try:
        done = subprocess.run(["tclsh", "tests/test_helper.tcl", *where, "--single", name, "--clients", "1", "--durable", *skipped,
                               "--baseport", str(base_port(lane)), "--timeout", str(seconds)],
                              cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 30, check=False)
        output, ended = done.stdout, True
    except subprocess.TimeoutExpired as error:
        output, ended = error.stdout or b"", False
    if keep:
        with open(os.path.join(keep, re.sub("[/:]", "-", name) + ("-normal" if starting else "") + ".txt"), "wb") as out:
            out.write(output)
    alive = server is None or server.alive()
    log = server.log_text() if server else ""
    if server:
        server.stop()
    shutil.rmtree(work, ignore_errors=True)
    results = {}
    lines = output.decode("utf-8", "replace").splitlines()
    for line, follows in zip(lines, lines[1:] + [""]):
        match = RESULT.match(LINE.sub("", line).strip())
        if match and match.group(1) != "exception":
            kind, text = match.groups()
            test, _, detail = text.partition(" in tests/")
            if kind == "ignore" or kind == "skip":
                test, _, detail = text.partition(": ")
            elif kind == "err" and " in tests/" not in text:
                test = BETWEEN
            result = {"ok": "pass", "err": "fail"}.get(kind, "skip")
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
        results[WHOLE] = ("fail", why[:200])
    else:
        results[WHOLE] = ("pass", "")
    results.update({test: ("fail", reason) for test, reason in left_out.items()})
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


def summary(table):
    """The table in Markdown: passed and failed by file, and what fails by its reason."""
    counts, reasons, totals = {}, {}, {}
    for (name, test), (result, reason) in table.items():
        if test in (WHOLE, BETWEEN) or result == "skip":
            continue
        mode, file = name.startswith(NORMAL), name.removeprefix(NORMAL)
        counts.setdefault(file, {}).setdefault(mode, {"pass": 0, "fail": 0})[result] += 1
        kind = {"needs": "of another milestone", "ours:": "ours"}.get(reason.split(" ")[0], "deliberate") if result == "fail" else result
        totals.setdefault(mode, {}).setdefault(kind, 0)
        totals[mode][kind] += 1
        if result == "fail":
            reasons.setdefault(reason, {}).setdefault(file, {}).setdefault(test, []).append(mode)
    print("| file | external | normal |\n|---|---|---|")
    for file, modes in sorted(counts.items()):
        cells = [f"{modes[mode]['pass']} / {modes[mode]['fail']}" if mode in modes else "" for mode in (False, True)]
        print(f"| {file} | {' | '.join(cells)} |")
    for mode, kinds in sorted(totals.items()):
        print("normal" if mode else "external", kinds)
    for reason, files in sorted(reasons.items()):
        print(f"- **{reason}**")
        for file, tests in sorted(files.items()):
            words = {(True,): "", (False,): " (external)"}
            print(f"  - {file}: " + "; ".join(test + words.get(tuple(modes), " (both modes)") for test, modes in sorted(tests.items())))


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", help="comma-separated files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=240, help="limit for one file")
    parser.add_argument("--output", help="directory for what the harness prints")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--summary", action="store_true", help="print the table of expected results")
    parser.add_argument("--mode", choices=["external", "normal", "both"], default="both")
    options = parser.parse_args()
    if options.summary:
        summary(load_expected())
        return 0
    source = os.environ.get("REDIS_TCL_DIR")
    if not source:
        print("skipped: REDIS_TCL_DIR names no Redis source tree (its tests are not part of this repository)")
        return 0
    if not shutil.which("tclsh"):
        print("skipped: no tclsh")
        return 0
    normal = [NORMAL + name for name in STARTING + FILES if name not in LATER]
    files = {"external": FILES, "normal": normal, "both": FILES + normal}[options.mode]
    files = options.only.split(",") if options.only else files
    files = [f for f in files if os.path.exists(os.path.join(source, "tests", f.removeprefix(NORMAL) + ".tcl"))]
    expected, seen, wrong = load_expected(), {}, []
    lanes = queue.SimpleQueue()
    for lane in range(options.jobs):
        lanes.put(lane)

    def run_one(name):
        lane = lanes.get()
        try:
            return run_file(lane, name, source, options.seconds, options.output)
        finally:
            lanes.put(lane)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, results in zip(files, pool.map(run_one, files)):
            counts = {"pass": 0, "fail": 0, "skip": 0}
            for test, (result, detail) in results.items():
                counts[result] += test not in (WHOLE, BETWEEN)
                before, reason = expected.get((name, test), ("pass", ""))
                seen[name, test] = (result, (reason or detail) if result == "fail" else "")
                if result == "fail" and before != "fail":
                    wrong.append((name, test, detail))
                if options.verbose and result == "fail":
                    print(f"  FAIL {name}: {test}: {detail}")
            lost = [t for (f, t), (r, _) in expected.items() if f == name and r == "pass" and t not in results]
            wrong += [(name, test, "did not run") for test in lost]
            whole = results[WHOLE]
            print(f"{name:<34}{counts['pass']:>5} passed{counts['fail']:>5} failed{counts['skip']:>5} skipped"
                  f"{'' if whole[0] == 'pass' else '   INCOMPLETE ' + whole[1]}", flush=True)
    if options.write:
        table = {k: v for k, v in expected.items() if k[0] not in files}
        table.update(seen)
        with open(EXPECTED, "w", encoding="utf-8") as out:
            out.write("# Redis 7.2.4 Tcl tests: file (normal: is normal mode), test, result, reason. Written by run.py --write.\n")
            for (name, test), (result, reason) in sorted(table.items()):
                out.write(f"{name}\t{test}\t{result}\t{' '.join(reason.split())}\n")
        return 0
    for name, test, detail in wrong:
        print(f"UNEXPECTED {name}: {test}: {detail}")
    total = {kind: sum(r == kind for (_, t), (r, _) in seen.items() if t not in (WHOLE, BETWEEN)) for kind in ("pass", "fail", "skip")}
    print(f"{total['pass']} passed, {total['fail']} failed ({len(wrong)} not expected), {total['skip']} skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
