#!/usr/bin/env python3
"""Starts the server on every file of the corpus and judges what it makes of it.

    tests/corpus/run.py                       all cases of formats/tests/corpus
    tests/corpus/run.py --part DIR            a corpus of the same layout, in its place
    tests/corpus/run.py --server PATH         another server than target/release/basalt-server
    tests/corpus/run.py --only SUBSTRING      some cases; --kind rdb,aof,dump some kinds
    tests/corpus/run.py --resave [--judge PATH]  also SAVE what was loaded: the file has to load with the
                                              same content, in this server or in the judge
    tests/corpus/run.py --any-refusal         a refusal needs no file name and offset in the log

A case passes if the server comes up with the expected content, encodings and expiry, or if it
refuses: it ends with a code that is not 0, not by a signal and within a minute, and its log names
the file and, where the fault is at a place, the offset. Payloads of the tables in dump/ are
restored and compared, broken ones have to be refused with the reply of Redis. TEST_PORTS=FROM-TO
names the ports to use.
`accepted.tsv` lists where another outcome than that of Redis is as good, with the reason.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import canon
import cases
from lib.loading import Loading, clock_shim
from lib.resp import Closed
from lib.servers import basalt_path

SECONDS_1970 = 10 * 86400
IDLE_SLACK_S = 30
NO_OFFSET = ("manifest-error", "file-missing", "module-missing", "function-library")


class Failure(Exception):
    """Why a case did not pass."""


class Runner:
    """Runs cases against one server."""

    def __init__(self, options, shim):
        self.options = options
        self.shim = shim
        self.accepted = {row["case"]: row["outcome"] for row in
                         cases.rows(os.path.join(os.path.dirname(os.path.abspath(__file__)), "accepted.tsv"))}

    def start(self, config, files, program=None, in_1970=False):
        """A server on these files."""
        clock = (self.shim, SECONDS_1970) if in_1970 else None
        return Loading(program or self.options.server, config, files, clock=clock)

    def run(self, case):
        """Raises Failure if the case does not pass."""
        config = case.config + [f"sanitize-dump-payload {'yes' if case.sanitize else 'no'}"]
        if case.is_rdb:
            config += ["dbfilename dump.rdb", "appendonly no"]
            files = {"dump.rdb": case.source}
        else:
            files = {name: os.path.join(case.source, name) for name in os.listdir(case.source) if name != "CONFIG.txt"}
        with self.start(config, files, in_1970=case.in_1970) as server:
            also = self.accepted.get(case.name)
            if server.outcome == "up" and (case.loads or also == "loads"):
                if case.wanted:
                    self.compare(case, server, config)
            elif server.outcome != "up" and (not case.loads or also == "refused"):
                self.judge_refusal(case, server)
            else:
                raise Failure(f"{server.outcome}; the log ends: {server.log_text()[-300:]!r}")

    def compare(self, case, server, config):
        """The content has to be the expected one, also after it was saved and loaded again."""
        if case.meta:
            self.compare_meta(case, server)
        self.same(server, case, "")
        if not self.options.resave:
            return
        reply = server.conn.call("SAVE")
        if reply != b"OK":
            raise Failure(f"SAVE: {reply}")
        saved = server.path("dump.rdb")
        if self.options.judge:
            self.check_tool(saved)
        again = [line for line in config if not line.startswith("append")] + ["appendonly no"]
        with self.start(again, {"dump.rdb": saved}, self.options.judge, case.in_1970) as other:
            if other.outcome != "up":
                raise Failure(f"saved again: {other.outcome}: {other.log_text()[-300:]!r}")
            self.same(other, case, "saved again: ", canon.SMALLER_AFTER_LOAD)

    def check_tool(self, path):
        """redis-check-rdb beside the judge has to find nothing."""
        tool = os.path.join(os.path.dirname(self.options.judge), "redis-check-rdb")
        if not os.path.exists(tool):
            return
        done = subprocess.run([tool, path], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Failure(f"redis-check-rdb: {done.stdout[-300:]!r}")

    @staticmethod
    def same(server, case, what, encodings=frozenset()):
        """The server's content is the expected one, but for encodings that may differ."""
        options = canon.Options(case.compare, canon.runs_scripts(server.conn))
        found = canon.differences(canon.dump(server.conn), canon.lines_of(case.wanted), options, encodings)
        if found:
            raise Failure(f"{what}{len(found)} differences: " + " | ".join(found[:4]))

    @staticmethod
    def compare_meta(case, server):
        """Frequencies are exact; idle times go on."""
        got = {(one["db"], one["key_hex"]): one for one in map(json.loads, canon.meta(server.conn))}
        for line in canon.lines_of(case.meta):
            want = json.loads(line)
            have = got.get((want["db"], want["key_hex"]))
            if have is None:
                raise Failure(f"missing key {want['key_hex']}")
            late = None if want["idle_s"] is None or have["idle_s"] is None else have["idle_s"] - want["idle_s"]
            if have["freq"] != want["freq"] or (late is None) != (want["idle_s"] is None) or not -2 <= (late or 0) <= IDLE_SLACK_S:
                raise Failure(f"access of {want['key_hex']}: got {have}, expected {want}")

    def judge_refusal(self, case, server):
        """A refusal has to be orderly, and to say where."""
        if server.outcome == "hang":
            raise Failure("hang")
        code = int(server.outcome.split()[1])
        if code <= 0:
            raise Failure(f"refused with {server.outcome}")
        if self.options.any_refusal:
            return
        log = server.log_text()
        fault = case.expect.partition(":")[2]
        name = "dump.rdb" if case.is_rdb else "manifest" if fault == "manifest-error" else ".aof"
        if name not in log:
            raise Failure(f"the log does not name the file: {log[-300:]!r}")
        if fault not in NO_OFFSET and not re.search(r"offset \d+", log):
            raise Failure(f"the log names no offset: {log[-300:]!r}")

    def payloads(self, path):
        """Good payloads are restored with the expected encoding and value. Returns what failed."""
        failed = []
        with self.start([], {}) as server:
            for row in cases.rows(path):
                key = f"{row['type']}/{row['encoding']} {row['key_hex']}"
                server.conn.call("FLUSHALL")
                reply = server.conn.call("RESTORE", "k", 0, bytes.fromhex(row["dump_payload_hex"]))
                encoding = server.conn.call("OBJECT", "ENCODING", "k")
                if reply != b"OK" or encoding != row["encoding_after_restore"].encode():
                    failed.append(f"{key}: {reply}, encoding {encoding}, expected {row['encoding_after_restore']}")
                    continue
                got = [json.loads(line)["value"] for line in canon.dump(server.conn)]
                if got != [json.loads(row["canonical_json"])]:
                    failed.append(f"{key}: other value: {canon.compact(got)[:300]}")
        return failed

    def bad_payloads(self, path):
        """Broken payloads have the reply of Redis. Returns what failed."""
        failed = []
        with self.start(["sanitize-dump-payload yes"], {}) as server:
            for row in cases.rows(path):
                server.conn.call("FLUSHALL")
                reply = server.conn.call("RESTORE", "k", 0, bytes.fromhex(row["payload_hex"]))
                shown = f"-{reply}" if isinstance(reply, Exception) else f"+{reply.decode()}"
                if not row["reply_sanitize_yes"].startswith(("-", "+")):
                    wanted_ok = shown.startswith("-")  # the real server broke
                else:
                    wanted_ok = shown == row["reply_sanitize_yes"] or self.accepted.get(row["what"]) == "refused" and shown[0] == "-"
                if not wanted_ok:
                    failed.append(f"{row['what']}: got {shown}, expected {row['reply_sanitize_yes']}")
                elif shown == "+OK":
                    got = json.loads(canon.dump(server.conn)[0])
                    want = json.loads(row["canonical_if_ok"])
                    if (got["encoding"], got["value"]) != (want["encoding"], want["value"]):
                        failed.append(f"{row['what']}: other value: {canon.compact(got)[:300]}")
        return failed


def main():
    """Runs what was asked for and prints what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=basalt_path())
    parser.add_argument("--part", default=cases.CORPUS)
    parser.add_argument("--only", default="")
    parser.add_argument("--kind", default="rdb,aof,dump")
    parser.add_argument("--resave", action="store_true")
    parser.add_argument("--judge")
    parser.add_argument("--any-refusal", action="store_true")
    options = parser.parse_args()
    kinds = options.kind.split(",")
    passed, failures, left_out = 0, [], []
    with tempfile.TemporaryDirectory() as folder:
        shim = clock_shim(folder)
        runner = Runner(options, shim)
        for case in cases.all_cases(options.part):
            if options.only not in case.name or case.name.split("/")[0] not in kinds:
                continue
            if case.in_1970 and not shim:
                left_out.append("a C compiler")
                continue
            try:
                runner.run(case)
                passed += 1
            except (Failure, Closed, OSError) as error:
                failures.append(case.name)
                print(f"FAILED {case.name} [{case.expect}]: {error}", flush=True)
        tables = [(path, runner.payloads) for path in cases.payload_tables(options.part)]
        tables.append((os.path.join(options.part, "dump/bad_payloads.tsv"), runner.bad_payloads))
        for path, check in tables:
            name = "dump/" + os.path.basename(path)
            if "dump" not in kinds or options.only not in name or not os.path.exists(path):
                continue
            bad = check(path)
            for text in bad:
                print(f"FAILED {name}: {text}", flush=True)
            passed, failures = passed + (not bad), failures + [name] * bool(bad)
    if failures:
        print("failed:", ", ".join(failures))
    if left_out:
        print(f"left out: {len(left_out)} cases that need {', '.join(sorted(set(left_out)))}")
    print(f"corpus: {passed} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
