"""RQ: jobs with dependencies, retries, schedules and callbacks; a worker that dies and a server that is killed."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

from redis import Redis

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = int(os.environ.get("APP_PORT") or sys.argv[1])


def add(a, b):
    """A sum, noted."""
    Redis(port=PORT).incr("added")
    return a + b


def fail_twice():
    """Succeeds at the third attempt."""
    if Redis(port=PORT).incr("attempts") < 3:
        raise ValueError("not yet")
    return "at last"


def fail():
    """Never succeeds."""
    raise KeyError("never")


def slow(seconds):
    """Takes time."""
    Redis(port=PORT).set("slow:began", os.getpid())
    time.sleep(seconds)
    return "slept"


def done(_job, connection, result):
    """Called when a job succeeded."""
    connection.rpush("done", str(result))


def worker(*options):
    """A worker of its own process group, as an operator starts it."""
    return subprocess.Popen([os.path.join(os.path.dirname(sys.executable), "rq"), "worker", "--url", f"redis://127.0.0.1:{PORT}", "--path", HERE, *options],
                            env=dict(os.environ, APP_PORT=str(PORT)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)


def finish(process, seconds=60):
    """Waits for a worker in burst mode."""
    text, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, text[-3000:]


def main():
    """All of it."""
    import rq_jobs as jobs
    from common import kill_server, until
    from rq import Callback, Queue, Retry
    from rq.job import Dependency, Job
    from rq.registry import StartedJobRegistry

    connection = Redis(port=PORT)
    high, low = Queue("high", connection=connection), Queue("low", connection=connection)
    sums = [low.enqueue(jobs.add, n, n) for n in range(20)]
    first = high.enqueue(jobs.add, 1, 2, on_success=Callback(jobs.done), meta={"who": "ann"}, description="a sum")
    after = high.enqueue(jobs.add, 10, 20, depends_on=first)
    both = low.enqueue(jobs.add, 5, 5, depends_on=Dependency(jobs=[first, sums[19]]))
    flaky = high.enqueue(jobs.fail_twice, retry=Retry(max=3))
    hopeless = high.enqueue(jobs.fail)
    never = low.enqueue(jobs.add, 0, 0, depends_on=hopeless)
    canceled = low.enqueue(jobs.add, 0, 0)
    canceled.cancel()
    assert len(low) == 20 and len(high) == 3 and first.get_status() == "queued" and after.get_status() == "deferred"
    assert high.jobs[0].meta == {"who": "ann"} and Job.fetch(first.id, connection=connection).description == "a sum"
    finish(worker("--burst", "high", "low"))
    assert first.return_value() == 3 and after.return_value() == 30 and both.return_value() == 10
    assert [job.return_value() for job in sums] == [2 * n for n in range(20)]
    assert flaky.return_value() == "at last" and connection.get("attempts") == b"3"
    assert connection.lrange("done", 0, -1) == [b"3"]
    assert hopeless.get_status() == "failed" and "KeyError" in hopeless.latest_result().exc_string
    assert high.failed_job_registry.get_job_ids() == [hopeless.id] and never.get_status() == "deferred"
    assert canceled.get_status() == "canceled" and low.canceled_job_registry.count == 1
    assert high.finished_job_registry.count == 3 and low.finished_job_registry.count == 21
    assert high.failed_job_registry.requeue(hopeless.id).id == hopeless.id and len(high) == 1
    high.empty()

    later = high.enqueue_in(timedelta(seconds=1), jobs.add, 3, 4)
    assert high.scheduled_job_registry.get_job_ids() == [later.id] and len(high) == 0

    # The work horse of a worker that is killed: the job is not lost sight of.
    running = worker("--with-scheduler", "high")
    long = high.enqueue(jobs.slow, 60, job_timeout=100)
    horse = int(until("a job that began", lambda: connection.get("slow:began")))
    assert StartedJobRegistry("high", connection=connection).get_job_ids() == [long.id]
    os.kill(horse, signal.SIGKILL)
    until("a job whose worker died", lambda: long.get_status() == "failed")
    until("a scheduled job", lambda: later.get_status() == "finished")
    assert later.return_value() == 7
    # A job that runs is stopped by a message on a channel.
    connection.delete("slow:began")
    stopped = high.enqueue(jobs.slow, 60)
    until("a job that began", lambda: connection.get("slow:began"))
    from rq.command import send_shutdown_command, send_stop_job_command
    from rq.worker import Worker
    send_stop_job_command(connection, stopped.id)
    until("a job that was stopped", lambda: stopped.get_status() == "stopped")
    [found] = Worker.all(connection=connection)
    assert found.queue_names() == ["high"]
    send_shutdown_command(connection, found.name)
    finish(running)
    assert Worker.all(connection=connection) == []

    # Everything that was accepted is done after a kill of the server.
    before = int(connection.get("added"))
    accepted = low.enqueue_many([Queue.prepare_data(jobs.add, (n, 1)) for n in range(50)])
    waits = low.enqueue(jobs.add, 1, 1, depends_on=accepted[49])
    kill_server()
    assert len(low) == 50 and waits.get_status() == "deferred"
    finish(worker("--burst", "low", "--worker-class", "rq.worker.SimpleWorker"))
    assert [job.return_value() for job in accepted] == [n + 1 for n in range(50)] and waits.return_value() == 2
    assert int(connection.get("added")) == before + 51
    assert first.return_value() == 3
    print("ok")


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    main()
