#!/usr/bin/env python3
"""Real applications, end to end: job queues, sessions, caches and rate limiters of npm, PyPI and Debian.

    tests/apps/run.py                 what can be run with what is installed or can be
    tests/apps/run.py --require       what cannot be run is an error
    tests/apps/run.py --only bullmq,rq

Each program does real work, checks the results, and prints its name and `ok` at the end. Where it prints
`kill`, the server is killed and started again, and the program goes on when it reads `up`: what was
acknowledged under `appendfsync always` must be there. The same programs run against a real Redis, where
they must pass as well: this is what shows that they ask for nothing but Redis. Packages are pinned, and
installed below target/.
"""

import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from lib.servers import Server, basalt_path, redis_path
from lib.tools import Skip, need, node_with, python_with

NPM = ["bullmq@5.81.5", "ioredis@5.8.2", "rate-limiter-flexible@11.4.0", "connect-redis@9.0.0", "redis@5.8.3", "express@4.21.2", "express-session@1.18.2"]
PYPI = ["redis==5.2.1", "celery==5.5.3", "rq==2.6.1", "Django==5.2.8", "django-redis==6.0.0"]
APPS = ["bullmq.js", "celery_jobs.py", "rq_jobs.py", "django_site.py", "rate_limiter.js", "express_sessions.js", "sidekiq_jobs.rb"]
LIMIT_S = 90


def command(app):
    """How a program is started, and its environment."""
    path = os.path.join(HERE, app)
    if app.endswith(".js"):
        node, environment = node_with("apps", *NPM)
        return [node, path], environment
    if app.endswith(".rb"):
        if subprocess.run([need("ruby"), "-e", "require 'sidekiq'"], stderr=subprocess.DEVNULL, check=False).returncode:
            raise Skip("no ruby-sidekiq")
        return ["ruby", path], dict(os.environ)
    return [python_with("apps", *PYPI), path], dict(os.environ, PYTHONDONTWRITEBYTECODE="1")


def end_session(leader):
    """Ends what a program has started and left behind."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                session = int(file.read().rsplit(")", 1)[1].split()[3])
            if session == leader:
                os.kill(int(name), signal.SIGKILL)
        except (OSError, IndexError):
            continue


def run(app, program):
    """One program on one kind of server; the time it took."""
    line, environment = command(app)
    server = Server(program, "--appendonly", "yes", "--appendfsync", "always")
    began, text = time.monotonic(), []
    child = subprocess.Popen([*line, str(server.port)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, start_new_session=True)
    timer = threading.Timer(LIMIT_S, child.kill)
    timer.start()
    try:
        for said in child.stdout:
            text.append(said)
            if said == "kill\n":
                server.kill()
                server.start(server.port)
                child.stdin.write("up\n")
                child.stdin.flush()
        code = child.wait()
        assert server.alive(), "the server ended:\n" + server.log_text()[-3000:]
        assert code == 0 and text and text[-1] == "ok\n", f"ended with {code}:\n{''.join(text)[-4000:]}"
        assert "panicked" not in server.log_text(), server.log_text()[-3000:]
    finally:
        timer.cancel()
        child.kill()
        child.wait()
        end_session(child.pid)
        child.stdin.close()
        server.stop()
    return time.monotonic() - began


def main():
    """All programs on both servers, several at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--require", action="store_true", help="a program that cannot be run is an error")
    parser.add_argument("--only", default="", help="names, comma-separated")
    parser.add_argument("--jobs", type=int, default=3)
    options = parser.parse_args()
    servers = {"basalt": basalt_path()}
    if redis_path():
        servers["redis"] = redis_path()
    failed = skipped = passed = 0
    began = time.monotonic()
    wanted = [app for app in APPS if not options.only or app.split(".")[0] in options.only.split(",")]
    for app in wanted:
        try:
            command(app)
        except Skip as reason:
            skipped += 1
            print(f"skipped {app}: {reason}", flush=True)
            wanted = [other for other in wanted if other != app]
    installed = time.monotonic() - began
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(run, app, program): (app, name) for app in wanted for name, program in servers.items()}
        for done in concurrent.futures.as_completed(runs):
            app, name = runs[done]
            try:
                print(f"ok      {app} on {name} ({done.result():.1f} s)", flush=True)
                passed += 1
            except (AssertionError, OSError, RuntimeError) as error:
                failed += 1
                print(f"FAILED  {app} on {name}: {error}", flush=True)
    print(f"apps: {passed} passed, {failed} failed, {skipped} skipped, {time.monotonic() - began - installed:.0f} s behind the installation")
    return 1 if failed or (skipped and options.require) else 0


if __name__ == "__main__":
    sys.exit(main())
