"""Celery with Redis as broker and for results: canvas, retries, revoking; a worker and a server that are killed."""

import os
import signal
import subprocess
import sys
import time

from celery import Celery, chain, chord, group
from celery.exceptions import TaskRevokedError
from redis import Redis

from common import PORT, kill_server, until

HERE = os.path.dirname(os.path.abspath(__file__))
URL = f"redis://127.0.0.1:{PORT}"
app = Celery("celery_jobs", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.update(task_track_started=True, task_acks_late=True, worker_prefetch_multiplier=1, result_expires=600, broker_connection_retry_on_startup=True,
                broker_transport_options={"visibility_timeout": 1}, result_extended=True, worker_hijack_root_logger=False)
notes = Redis(port=PORT, db=2)


@app.task
def add(a, b):
    """A sum, noted."""
    notes.incr("added")
    return a + b


@app.task
def total(numbers):
    """The sum of many."""
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def flaky(self):
    """Succeeds at the third attempt."""
    if notes.incr("attempts") < 3:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task
def fail():
    """Never succeeds."""
    raise ValueError("never")


@app.task
def once(name, seconds):
    """The first time it takes long, the second time it does not."""
    if notes.incr(name) == 1:
        time.sleep(seconds)
    return "done"


@app.task(ignore_result=True)
def note(text):
    """Leaves no result."""
    notes.rpush("texts", text)


class Worker:
    """A worker process with two children, as an operator starts it."""

    def __init__(self, number):
        words = [sys.executable, "-m", "celery", "-A", "celery_jobs", "worker", "-c", "2", "-n", f"w{number}@here", "-l", "warning"]
        self.process = subprocess.Popen(words, cwd=HERE, env=dict(os.environ, APP_PORT=str(PORT)), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)

    def end(self, how):
        """Ends it with its children."""
        (os.killpg if how == signal.SIGKILL else os.kill)(self.process.pid, how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            print("the worker does not end:", Redis(port=PORT).execute_command("CLIENT", "LIST"))
            raise


def result(task, seconds=40):
    """The result by asking again and again: the message that there is one may have gone with the server."""
    broker = Redis(port=PORT)
    try:
        until("a result", lambda: task.state in ("SUCCESS", "FAILURE"), seconds)
    except AssertionError:
        print(task.state, [(key, broker.type(key)) for key in broker.keys()], broker.hvals("unacked"), broker.zrange("unacked_index", 0, -1, withscores=True))
        raise
    return task.result


def canvas():
    """Tasks alone and together."""
    assert add.delay(2, 3).get(20) == 5
    assert chain(add.s(1, 2), add.s(10), add.s(100))().get(20) == 113
    assert group(add.s(n, n) for n in range(20))().get(20) == [2 * n for n in range(20)]
    assert chord((add.s(n, 1) for n in range(10)), total.s())().get(20) == 55
    assert chord([chain(add.s(1, 1), add.s(1)), add.s(5, 5)], total.s())().get(20) == 13
    assert flaky.delay().get(20) == 2
    failed = fail.delay()
    assert isinstance(failed.get(20, propagate=False), ValueError) and failed.state == "FAILURE" and "never" in failed.traceback
    began = time.monotonic()
    assert add.apply_async((1, 1), countdown=0.5).get(20) == 2 and time.monotonic() - began >= 0.5
    note.delay("quiet")
    until("a task without result", lambda: notes.lrange("texts", 0, -1) == [b"quiet"])
    kept = add.delay(1, 1)
    assert kept.get(20) == 2 and kept.name == "celery_jobs.add" and kept.args == [1, 1]
    assert 500 < Redis(port=PORT, db=1).ttl(f"celery-task-meta-{kept.id}") <= 600
    kept.forget()
    assert kept.state == "PENDING"
    # Messages to workers go over pub/sub.
    answers = app.control.inspect(timeout=1).ping()
    assert answers == {"w1@here": {"ok": "pong"}}, answers
    revoked = add.apply_async((0, 0), countdown=1)
    revoked.revoke()
    try:
        revoked.get(20)
        raise SystemExit("a revoked task was run")
    except TaskRevokedError:
        pass


def main():
    """All of it."""
    worker = Worker(1)
    canvas()

    # A worker dies with a task: another gets it once it was invisible for long enough.
    lost = once.delay("lost", 60)
    until("a task that began", lambda: notes.get("lost"))
    worker.end(signal.SIGKILL)
    time.sleep(1.2)
    worker = Worker(2)
    assert result(lost) == "done" and notes.get("lost") == b"2"
    worker.end(signal.SIGTERM)

    # What was accepted while no worker was there is done after a kill of the server.
    before = int(notes.get("added"))
    accepted = [add.delay(n, 1) for n in range(50)]
    urgent = add.apply_async((7, 7), countdown=1)
    kill_server()
    assert Redis(port=PORT).llen("celery") == 51
    worker = Worker(3)
    assert [result(task) for task in accepted] == [n + 1 for n in range(50)] and result(urgent) == 14
    assert int(notes.get("added")) >= before + 51
    # A worker that was there goes on by itself.
    kill_server()
    assert result(app.AsyncResult(accepted[3].id)) == 4
    assert result(add.apply_async((20, 22))) == 42
    worker.end(signal.SIGTERM)
    print("ok")


if __name__ == "__main__":
    from celery_jobs import main as run  # The tasks have the name of the module, not of the script.
    run()
