"""What users are promised, sentence by sentence: secrets, credentials, limits, schedules, rights, ends, codes for cron."""

import datetime
import glob
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
import zoneinfo

from s3 import S3, Proxy
from world import CREDENTIALS, ask, back_up, basalt_path, fill, info, restore_and_compare, tool

from lib.servers import Server, free_port
from lib.tools import need


def until(what, check, seconds=60):
    """Waits for something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(what)


class Environment:
    """Other variables for processes that are started meanwhile; none of those with credentials."""

    def __init__(self, **variables):
        self.variables, self.before = variables, dict(os.environ)

    def __enter__(self):
        for name in CREDENTIALS:
            os.environ.pop(name, None)
        os.environ.update(self.variables)

    def __exit__(self, *_):
        os.environ.clear()
        os.environ.update(self.before)


def instance(key, secret, token):
    """What a cloud tells its machines of their credentials; its address."""
    port = free_port()

    class Handler(http.server.BaseHTTPRequestHandler):
        """The metadata service, version 2."""

        def log_message(self, *_):
            pass

        def reply(self, body):
            """An answer."""
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self):
            self.reply(b"metadata-token")

        def do_GET(self):
            if self.path.endswith("/security-credentials/"):
                return self.reply(b"role")
            found = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": "2099-01-01T00:00:00Z", "Code": "Success"}
            return self.reply(json.dumps(found).encode())

    service = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    service.daemon_threads = True
    threading.Thread(target=service.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{port}"


def secrets(world):
    """Where credentials and passphrases come from, what the store is asked for, and that no secret shows anywhere."""
    store = S3()
    world.closing.append(store.close)
    proxy = Proxy(store.port)
    place = ["--backup-url", "s3://backups/s", "--backup-endpoint", f"http://127.0.0.1:{proxy.port}", "--backup-region", "us-east-1"]
    file = world.path("credentials")
    with open(file, "w", encoding="ascii") as out:
        out.write("[default]\naws_access_key_id = KEYOFFILE\naws_secret_access_key = planted-secret-of-file\n")
    address = instance("KEYOFINSTANCE", "planted-secret-of-instance", "planted-token-of-instance")
    cases = [
        ("KEYOFENV", {"AWS_ACCESS_KEY_ID": "KEYOFENV", "AWS_SECRET_ACCESS_KEY": "planted-secret-of-env"}, []),
        ("KEYOFFILE", {}, ["--backup-credentials-file", file]),
        ("KEYOFINSTANCE", {"AWS_METADATA_ENDPOINT": address}, ["--backup-sse-kms-key", "the-key"]),
    ]
    texts = []
    for key, variables, more in cases:
        with Environment(RUST_LOG="trace", **variables):
            server = world.basalt(*place, "--loglevel", "debug", *more)
            proxy.seen.clear()
            ask(server, "SET", "a", key)
            assert back_up(server) == "", key
            seen = list(proxy.seen)
            signed = [headers["authorization"] for _, _, headers in seen]
            assert signed and all(f"Credential={key}/" in line for line in signed), (key, signed)
            tokens = {headers.get("x-amz-security-token") for _, _, headers in seen}
            assert tokens == {"planted-token-of-instance" if key == "KEYOFINSTANCE" else None}, tokens
            written = [headers for method, _, headers in seen if method == "PUT"]
            asked = {(headers.get("x-amz-server-side-encryption"), headers.get("x-amz-server-side-encryption-aws-kms-key-id")) for headers in written}
            assert asked == {("aws:kms", "the-key") if key == "KEYOFINSTANCE" else (None, None)}, asked
            texts += [server.log_text(), ask(server, "INFO", "everything"), ask(server, "BACKUP", "STATUS"), ask(server, "CONFIG", "GET", "*")]
            with open(f"/proc/{server.process.pid}/cmdline", "rb") as line:
                texts.append(line.read().decode())
            server.kill()
    # A wrong secret shows in no error either.
    with Environment(AWS_ACCESS_KEY_ID="K", AWS_SECRET_ACCESS_KEY="planted-secret-of-error", RUST_LOG="trace"):
        proxy.script("all", "403")
        done = subprocess.run([program(), "list", "s3://backups/s", "--endpoint", f"http://127.0.0.1:{proxy.port}", "--region", "us-east-1"],
                              capture_output=True, text=True, timeout=120, check=False)
        proxy.script(None, None)
        assert done.returncode == 1 and "ExpiredToken" in done.stderr, done
        texts += [done.stdout, done.stderr]
    # Two identities, one with a passphrase: each opens what is for both.
    os.mkdir(world.path("repository"))
    word = world.path("passphrase")
    with open(word, "w", encoding="ascii") as out:
        out.write("planted passphrase\nsecond line\n")
    locked = world.path("locked.txt")
    recipient = tool("keygen", "-o", locked, "--passphrase-file", word).strip()
    server = world.basalt("--backup-url", world.path("repository"), "--backup-recipients", f"{world.recipient} {recipient}")
    fill(server, "both")
    assert back_up(server) == ""
    digest = ask(server, "DEBUG", "DIGEST")
    restore_and_compare(world, digest, world.path("repository"))
    drill = ["verify", world.path("repository"), "--drill", "--json", "-i", locked]
    assert json.loads(tool(*drill, "--passphrase-file", word))["ok"]
    with Environment(BASALT_PASSPHRASE="planted passphrase"):
        assert json.loads(tool(*drill))["ok"]
    with Environment(BASALT_PASSPHRASE="planted wrong one"):
        texts.append(tool(*drill, code=1))
    texts.append(tool(*drill, code=1))
    with open(world.identity, encoding="ascii") as given:
        private = given.read().split("\n")[2]
    assert private.startswith("AGE-SECRET-KEY-1")
    for text in texts:
        for secret in ("planted-secret", "planted-token", "planted passphrase", "planted wrong", private):
            at = text.find(secret)
            assert at < 0, text[max(0, at - 200):at + 20]
    return f"credentials from {len(cases)} places, two identities; no secret in {len(texts)} texts"


def program():
    """The tool."""
    return os.path.join(os.path.dirname(basalt_path()), "basalt")


def schedule(world):
    """The hour is that of the zone."""
    os.mkdir(world.path("repository"))
    server = world.basalt("--backup-url", world.path("repository"), "--backup-schedule", "30 3 * * *")
    for zone in ("UTC", "Asia/Kolkata", "America/New_York", "Europe/Berlin"):
        ask(server, "CONFIG", "SET", "backup-time-zone", zone)
        there = zoneinfo.ZoneInfo(zone)

        def right(there=there):
            at = datetime.datetime.fromtimestamp(int(info(server, "backup_next_scheduled_time")), there)
            return (at.hour, at.minute) == (3, 30) and 0 < at.timestamp() - time.time() < 90_000
        until(zone, right)
    assert "ERR" in subprocess.run(["redis-cli", "-p", str(server.port), "CONFIG", "SET", "backup-time-zone", "Mars/Olympus"],
                                   capture_output=True, text=True, check=False).stdout
    server.kill()


def limit(world):
    """Bytes a second to the store are no more than allowed; a job that waits for its turn can be cancelled."""
    os.mkdir(world.path("repository"))
    server = world.basalt("--backup-url", world.path("repository"), "--backup-rate-limit", "2mb", "--backup-compression", "none")
    for i in range(8):
        ask(server, "-x", "SET", f"bulk:{i}", given=os.urandom(500_000).hex())
    began = time.time()
    assert back_up(server) == ""
    took = time.time() - began
    stored = int(info(server, "backup_last_success_uploaded_bytes"))
    rate = stored / took
    assert stored > 7_000_000 and rate < 2.2 * (1 << 20), (stored, took)
    ask(server, "CONFIG", "SET", "backup-rate-limit", "1000")
    os.remove(os.path.join(server.dir, "basalt.backup-index"))
    ask(server, "BACKUP", "NOW")
    until("it waits", lambda: info(server, "backup_current_keys_processed") == "8")
    time.sleep(0.5)
    assert info(server, "backup_in_progress") == "1", "it has ended too soon"
    ask(server, "BACKUP", "CANCEL")
    until("it ends", lambda: info(server, "backup_in_progress") == "0", 20)
    assert len(glob.glob(world.path("repository/backups/*"))) == 1
    server.kill()
    return f"{rate / (1 << 20):.2f} of 2 MiB/s"


def ends(world):
    """SHUTDOWN during a backup, while the store does not answer, and with a log that has not been shipped yet."""
    os.mkdir(world.path("repository"))

    def stop(server):
        began = time.monotonic()
        subprocess.run(["redis-cli", "-p", str(server.port), "SHUTDOWN", "NOSAVE"], capture_output=True, timeout=60, check=False)
        code = server.process.wait(60)
        assert code == 0, (code, server.log_text()[-1000:])
        return time.monotonic() - began

    server = world.basalt("--backup-url", world.path("repository"), "--rdb-key-save-delay", "200000")
    fill(server, "ended")
    ask(server, "BACKUP", "NOW")
    until("it runs", lambda: info(server, "backup_current_keys_processed") not in ("", "0"))
    walked = stop(server)
    left = [path for path in glob.glob(world.path("repository/*/**"), recursive=True) if os.path.isfile(path)]
    assert all("/keys/" in path for path in left), left

    store = S3()
    world.closing.append(store.close)
    proxy = Proxy(store.port)
    proxy.silence = 120.0
    server = world.basalt("--backup-url", "s3://backups/e", "--backup-endpoint", f"http://127.0.0.1:{proxy.port}", "--backup-region", "us-east-1",
                          "--appendonly", "yes")
    fill(server, "good")
    assert back_up(server) == ""
    digest = ask(server, "DEBUG", "DIGEST")
    ask(server, "SET", "more", "1")
    proxy.script("all", "timeout")
    ask(server, "BACKUP", "NOW")
    until("it waits", lambda: proxy.spoiled > 0)
    waited = stop(server)
    proxy.script(None, None)
    direct = ["s3://backups/e", "--endpoint", f"http://127.0.0.1:{store.port}", "--region", "us-east-1"]
    restore_and_compare(world, digest, *direct)
    server.start()
    assert back_up(server) == ""
    restore_and_compare(world, ask(server, "DEBUG", "DIGEST"), *direct)
    server.kill()

    shutil.rmtree(world.path("repository"))
    os.mkdir(world.path("repository"))
    server = world.basalt("--backup-url", world.path("repository"), "--backup-archive", "yes", "--backup-archive-interval", "3600")
    until("the archive begins", lambda: info(server, "backup_archive_active") == "1" and info(server, "backup_count") != "0")
    ask(server, "SET", "last", "words")
    stop(server)
    shutil.rmtree(server.dir)
    target = world.path("last")
    tool("restore", world.path("repository"), "-i", world.identity, "--to", target, "--at", "latest")
    again = Server(basalt_path(), "--appendonly", "yes", directory=target)
    assert ask(again, "GET", "last").strip() == "words"
    again.stop()
    return f"{walked:.1f} s in a backup, {waited:.1f} s with a silent store"


def moments(world):
    """`restore-on-start TIME`; and who the archive is for after the recipients have changed."""
    os.mkdir(world.path("repository"))
    options = ["--backup-url", world.path("repository"), "--backup-archive", "yes", "--backup-archive-interval", "1", "--enable-protected-configs", "yes"]
    server = world.basalt(*options)
    until("the archive begins", lambda: info(server, "backup_archive_active") == "1" and info(server, "backup_count") != "0")
    ask(server, "SET", "a", "before")
    time.sleep(0.02)
    at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    time.sleep(0.02)
    ask(server, "SET", "a", "after")
    until("it is shipped", lambda: info(server, "backup_rpo_sec") == "0")
    newer = world.path("newer.txt")
    recipient = tool("keygen", "-o", newer).strip()
    ask(server, "CONFIG", "SET", "backup-recipients", recipient)
    assert back_up(server) == ""
    ask(server, "SET", "a", "rotated")
    until("it is shipped", lambda: info(server, "backup_archive_segments") != "0" and info(server, "backup_rpo_sec") == "0")
    server.kill()
    target = world.path("rotated")
    tool("restore", world.path("repository"), "-i", newer, "--to", target, "--at", "latest")
    again = Server(basalt_path(), "--appendonly", "yes", directory=target)
    assert ask(again, "GET", "a").strip() == "rotated"
    again.stop()
    tool("restore", world.path("repository"), "-i", world.identity, "--to", world.path("never"), "--at", "latest", code=1)
    # A server begins with that moment, once.
    empty = world.path("empty")
    os.mkdir(empty)
    begin = ["--restore-on-start", at, "--restore-identity", world.identity, "--appendonly", "yes"]
    server = Server(basalt_path(), "--backup-url", world.path("repository"), *begin, directory=empty)
    assert ask(server, "GET", "a").strip() == "before"
    server.kill()
    # Before there was anything, and after all there is: it does not start.
    for moment in ("1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"):
        nothing = world.path("nothing" + moment[:4])
        os.mkdir(nothing)
        begin[1] = moment
        done = subprocess.run([basalt_path(), "--port", str(free_port()), "--dir", nothing, "--backup-url", world.path("repository"), *begin],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0 and "restore-on-start" in done.stdout + done.stderr, done
        assert not [name for name in os.listdir(nothing) if name.startswith(("append", "dump", "temp"))], os.listdir(nothing)


# Of INFO; the documents name the most important.
FIELDS = """in_progress current_keys_processed current_keys_total encrypted last_success_id last_success_time last_success_age_sec rpo_sec
archive_active archive_segments archive_bytes archive_failures last_success_stored_bytes last_success_uploaded_bytes last_status last_try_time
last_duration_ms last_prune_status last_verified_id last_verified_time last_verify_status next_scheduled_time count failures uploaded_bytes""".split()


def rights(world):
    """Categories of the commands, fields of INFO, codes and JSON for cron, pruning beside a backup."""
    repository = world.path("repository")
    os.mkdir(repository)
    server = world.basalt("--backup-url", repository, "--rdb-key-save-delay", "0")
    fill(server, "rights")
    for name in ("cancel", "list", "now", "status", "verify"):
        for category in ("admin", "dangerous", "slow"):
            assert f"backup|{name}" in ask(server, "ACL", "CAT", category).split(), (name, category)
    users = [ask(server, "ACL", "SETUSER", name, "on", "nopass", *rules) for name, rules in (
        ("user", ["+@all", "-@dangerous"]), ("watch", ["-@all", "+backup|status"]))]
    cases = (("user", "NOW", False), ("user", "LIST", False), ("user", "HELP", True), ("watch", "STATUS", True), ("watch", "NOW", False))
    assert users == ["OK", "OK"], users
    for user, word, allowed in cases:
        done = subprocess.run(["redis-cli", "-p", str(server.port), "--user", user, "--pass", "x", "--no-auth-warning", "BACKUP", word],
                              capture_output=True, text=True, timeout=30, check=False).stdout
        assert ("NOPERM" in done) != allowed, (user, word, done)
    found = [line.split(":")[0] for line in ask(server, "INFO", "backup").split() if ":" in line]
    assert found == [f"backup_{name}" for name in FIELDS], found
    # For cron: 0, or 1 with the reason in JSON.
    good = [json.loads(tool("backup", "--port", str(server.port), "--json"))]
    good += [json.loads(tool(*words, repository, *more, "--json")) for words, more in (
        (["list"], []), (["verify"], []), (["prune"], ["--retention", "3"]), (["restore"], ["-i", world.identity, "--to", world.path("to")]),
        (["export"], ["-i", world.identity, "-o", world.path("out.rdb")]), (["check-store"], []))]
    assert all(result["ok"] for result in good), good
    bad = [json.loads(tool(*words, "--json", code=1)) for words in (
        ["backup", "--port", str(free_port())], ["list", world.path("missing")], ["verify", world.path("missing")],
        ["prune", world.path("missing"), "--retention", "3"], ["restore", repository, "-i", world.identity, "--to", world.path("to")],
        ["restore", repository, "--to", world.path("to2")], ["export", repository, "-i", world.identity, "-o", world.path("out.rdb")],
        ["check-store", world.path("missing")])]
    assert all(not result["ok"] and len(result["error"]) > 10 for result in bad), bad
    tool("list", "--nonsense", code=2)
    # Pruning while a backup is under way that takes over chunks of the one before.
    for i in range(3):
        ask(server, "SET", "changed", str(i))
        assert back_up(server) == ""
    ask(server, "CONFIG", "SET", "backup-rate-limit", "10000")
    ask(server, "-x", "SET", "bulk", given=os.urandom(80_000).hex())
    ask(server, "BACKUP", "NOW")
    digest = ask(server, "DEBUG", "DIGEST")
    until("it runs", lambda: info(server, "backup_current_keys_processed") not in ("", "0"))
    tool("prune", repository, "--retention", "1")
    assert info(server, "backup_in_progress") == "1", "it has ended too soon"
    ask(server, "CONFIG", "SET", "backup-rate-limit", "0")
    until("it ends", lambda: info(server, "backup_in_progress") == "0")
    assert info(server, "backup_last_status") == "ok"
    restore_and_compare(world, digest, repository)
    assert len(json.loads(tool("list", repository, "--json"))["backups"]) == 2
    tool("verify", repository, "-i", world.identity, "--drill")
    # What cannot be read may name anything, so nothing is pruned, and INFO says so.
    ask(server, "CONFIG", "SET", "backup-retention", "1")
    manifest = sorted(glob.glob(os.path.join(repository, "backups", "*")))[0]
    with open(manifest, "rb") as file:
        good = file.read()
    for body, status in ((b"{}", "err"), (good, "ok")):
        with open(manifest, "wb") as file:
            file.write(body)
        assert back_up(server) == ""
        until(status, lambda status=status: info(server, "backup_last_prune_status") == status)
    assert len(glob.glob(os.path.join(repository, "backups", "*"))) == 1
    server.kill()


def run(world):
    """All of it, each with directories of its own."""
    need("redis-cli")
    told = []
    for part in (secrets, schedule, limit, ends, moments, rights):
        for name in ("repository",):
            shutil.rmtree(world.path(name), ignore_errors=True)
        told.append(part(world))
    return "; ".join(text for text in told if text)
