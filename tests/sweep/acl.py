#!/usr/bin/env python3
"""No way to other keys: every command of templates.txt as a user who is limited to `a:*`.

    tests/sweep/acl.py          ten seconds

Each call is made with keys of `a:*` only, which must not be refused for its keys; then once for each
of its keys with a key of `b:*` in that place, which must be: at the top level, when it is queued, by
EVAL and FCALL, and by ACL DRYRUN. What `b:*` holds must be the same at the end. The few words that
look like keys but are none of the table's are listed with the reason.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "differential")]

from lib.servers import Server, basalt_path
from run import FIXTURES, LIBRARY
from values import templates

REFUSED = "NOPERM No permissions to access a key"
IN_SCRIPT = "ACL failure in script: No permissions to access a key"
# Words in the place of keys that Redis does not check, by command.
UNCHECKED = {
    "acl": "asks what another user may do",
    "debug": "DEBUG is for administrators, who may be kept from it",
    "command": "asks which words would be keys",
    "cluster": "computes with the word only",
}
# Patterns that lead to keys that are not named: another error, and only for who may not read all keys.
DENIED = "option of SORT denied due to insufficient ACL permissions."
CALLER = """#!lua name=caller
redis.register_function('pass_on', function(keys, args) return redis.call(unpack(args)) end)"""


class Limited:
    """One server, its administrator, and the user."""

    def __init__(self):
        self.server = Server(basalt_path(), "--enable-debug-command", "yes", "--enable-module-command", "yes")
        self.admin = self.server.connect()
        self.call(self.admin, "FUNCTION", "LOAD", LIBRARY)
        self.call(self.admin, "FUNCTION", "LOAD", CALLER)
        self.call(self.admin, "ACL", "SETUSER", "limited", "on", "nopass", "allchannels", "+@all", "~a:*")
        table = self.admin.call("COMMAND")
        self.containers = {entry[0].decode() for entry in table if len(entry) > 9 and entry[9]}
        self.subcommands = {sub[0].decode() for entry in table for sub in entry[9]}
        self.fill()
        self.login()

    def call(self, conn, *words):
        """A reply; an error as text."""
        reply = conn.call(*words)
        return str(reply) if isinstance(reply, Exception) else reply

    def login(self):
        """A connection of the user."""
        self.conn = self.server.connect()
        assert self.call(self.conn, "AUTH", "limited", "x") == b"OK"

    def fill(self):
        """A key of each type below `a:` and `b:`."""
        self.call(self.admin, "FLUSHALL")
        for prefix in ("a:", "b:"):
            for words in FIXTURES:
                if words[0] != "EVAL":
                    self.call(self.admin, *(prefix + word[2:] if word[:2] in ("m:", "w:") else word for word in words))

    def secret(self):
        """What `b:*` holds."""
        keys = sorted(self.admin.call("KEYS", "b:*"))
        return keys, self.admin.call("DEBUG", "DIGEST-VALUE", *keys)

    def has(self, words):
        """Whether the table has it as a command, not only as a container."""
        return words[0].lower() not in self.containers or f"{words[0]}|{words[1]}".lower() in self.subcommands


def named(template, foreign):
    """The words of a call with the key at `foreign` among those of somebody else."""
    out = []
    for at, word in enumerate(template.words):
        word = word.removeprefix("=")
        out.append(("b:" if at == foreign else "a:") + word[2:] if at in template.keys else word)
    return out


def cases(limited):
    """`(call, wanted)` for every template that names keys."""
    for template in templates(os.path.join(HERE, "templates.txt"), limited.containers):
        first = template.words[0].lower()
        if template.keys and first not in UNCHECKED and limited.has(template.words):
            yield named(template, None), None
            for at in template.keys:
                yield named(template, at), REFUSED
    for words in ("SORT a:ints BY b:*", "SORT a:ints GET b:*", "SORT_RO a:ints BY b:*->f", "SORT a:ints BY nosort GET # GET b:*"):
        yield words.split(), DENIED
    for words in ("SORT a:ints STORE b:x STORE a:x", "GEORADIUS a:geo 15 37 200 km STORE b:x STORE a:x", "GEORADIUS a:geo 15 37 200 km STORE a:x STOREDIST b:x",
                  "GEORADIUS a:geo 15 37 200 km STORE a:x STORE b:x", "MIGRATE 127.0.0.1 1 b:str 0 10", "MIGRATE 127.0.0.1 1 NIL 0 10 KEYS a:str b:str"):
        yield [word.replace("NIL", "") for word in words.split()], None if words.startswith("SORT") else REFUSED


def main():
    """Runs all of it."""
    limited = Limited()
    before, count, wrong = limited.secret(), 0, []
    noscript = {entry[0].decode() for entry in limited.admin.call("COMMAND") if b"noscript" in entry[2]}

    def check(way, call, reply, wanted):
        nonlocal count
        count += 1
        text = reply if isinstance(reply, str) else ""
        held = wanted in text if wanted else REFUSED not in text and IN_SCRIPT not in text
        if not held:
            wrong.append(f"{way}: {' '.join(call)}: {reply!r}, wanted {wanted or 'no refusal'}")

    for call, wanted in cases(limited):
        check("directly", call, limited.call(limited.conn, *call), wanted)
        if not wanted:
            limited.fill()
        if wanted != REFUSED:
            continue
        limited.call(limited.conn, "MULTI")
        check("queued", call, limited.call(limited.conn, *call), REFUSED)
        limited.call(limited.conn, "DISCARD")
        dry = limited.call(limited.admin, "ACL", "DRYRUN", "limited", *call)
        check("dry", call, dry.decode() if isinstance(dry, bytes) else dry, "User limited has no permissions to access the 'b:")
        if call[0].lower() not in noscript and call[0].lower() not in limited.containers | {"eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"}:
            script = limited.call(limited.conn, "EVAL", "return redis.call(unpack(ARGV))", "0", *call)
            check("by EVAL", call, script, IN_SCRIPT)
            check("by FCALL", call, limited.call(limited.conn, "FCALL", "pass_on", "0", *call), IN_SCRIPT)
    after = limited.secret()
    limited.server.stop()
    print("\n".join(wrong[:40]))
    print(f"{count} calls by a limited user, {len(wrong)} not as they must be; the keys of others are {'as they were' if before == after else 'CHANGED'}")
    sys.exit(bool(wrong) or before != after or count < 1000)


if __name__ == "__main__":
    main()
