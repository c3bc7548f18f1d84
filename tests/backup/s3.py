"""A foreign S3 server (moto), and a proxy before it that spoils one request after the other."""

import calendar
import collections
import http.client
import http.server
import os
import socket
import subprocess
import threading
import time
import urllib.parse

from lib.servers import free_port
from lib.tools import python_with


def moto():
    """The S3 server's program."""
    given = os.environ.get("MOTO_SERVER")
    return given or os.path.join(os.path.dirname(python_with("backup-tests", "moto[server]==5.2.5")), "moto_server")


class S3:
    """A running S3 server with a bucket."""

    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen([moto(), "-H", "127.0.0.1", "-p", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                connection.request("PUT", "/backups")
                assert connection.getresponse().status == 200
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the S3 server does not start")

    def ask(self, path):
        """The body of a GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        # It looks at who asks, not at the signature.
        connection.request("GET", path, headers={"authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"})
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status)
        return answer.read()

    def objects(self):
        """All names in the bucket."""
        names, after = [], ""
        while True:
            body = self.ask(f"/backups?list-type=2&start-after={urllib.parse.quote(after)}").decode()
            found = [part.split("</Key>")[0] for part in body.split("<Key>")[1:]]
            if not found:
                return names
            names += found
            after = found[-1]

    def body(self, name):
        """An object's bytes."""
        return self.ask(f"/backups/{name}")

    def close(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()


ERROR = "<?xml version=\"1.0\"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>"


class Proxy:
    """Passes requests on, and spoils the n-th of those that a fault is about."""

    # What the fault is about; all requests if nothing is said.
    ABOUT = {
        "truncated": lambda method, path: method == "GET",
        "wrong-bytes": lambda method, path: method == "GET" and "list-type" not in path,
        "stale-list": lambda method, path: method == "GET" and "list-type" in path,
        "lost-part": lambda method, path: method == "PUT" and "partNumber=" in path,
        "200-error": lambda method, path: method == "POST" and "uploadId=" in path,
    }
    FAULTS = ["reset", "reset-answer", "500", "503", "403", "timeout", "lost-reply", *ABOUT]

    def __init__(self, upstream):
        self.upstream, self.port = upstream, free_port()
        self.lock, self.count, self.nth, self.fault, self.spoiled = threading.Lock(), 0, None, None, 0
        self.victim, self.silence, self.lists, self.killed = None, 1.0, {}, threading.Event()
        # The last requests: method, path, headers.
        self.seen = collections.deque(maxlen=2000)
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One connection."""
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                """Any method."""
                proxy.serve(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

        class Quiet(http.server.ThreadingHTTPServer):
            """Whose clients may go away."""

            def handle_error(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def script(self, nth, fault):
        """Spoils the n-th request from now on, or "all"; without a fault they are only counted."""
        with self.lock:
            self.count, self.nth, self.fault, self.spoiled = 0, nth, fault, 0
        self.killed.clear()

    def due(self, method, path):
        """The fault of this request."""
        with self.lock:
            about = self.ABOUT.get(self.fault)
            if self.fault is None:
                self.count += 1
                return None
            if about and not about(method, path):
                return None
            # A listing stays stale as long as it is.
            fault = self.fault if self.nth in (self.count, "all") or self.fault == "stale-list" else None
            self.count += 1
            self.spoiled += fault is not None
            return fault

    @staticmethod
    def answer(handler, status, body, headers=()):
        """Sends an answer."""
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def serve(self, handler):
        """One request."""
        length = int(handler.headers.get("content-length", 0))
        sent = handler.rfile.read(length)
        self.seen.append((handler.command, handler.path, {name.lower(): value for name, value in handler.headers.items()}))
        stamp = handler.headers.get("x-amz-date")
        if stamp and abs(calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.time()) > 900:
            body = ERROR.format("RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
            return self.answer(handler, 403, body.encode())
        fault = self.due(handler.command, handler.path)
        if fault == "kill":
            self.victim.kill()
            self.killed.set()
            return self.cut(handler)
        if fault == "reset":
            return self.cut(handler)
        if fault in ("500", "503", "403"):
            words = ("ExpiredToken", "The provided token has expired.") if fault == "403" else ("Scripted", "scripted")
            return self.answer(handler, int(fault), ERROR.format(*words).encode())
        if fault == "timeout":
            time.sleep(self.silence)
            return self.cut(handler)
        if fault == "lost-part":
            return self.answer(handler, 200, b"", [("etag", '"d41d8cd98f00b204e9800998ecf8427e"')])
        if fault == "200-error":
            return self.answer(handler, 200, ERROR.format("InternalError", "We encountered an internal error. Please try again.").encode())
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        # The signature covers the host the client was told.
        connection.request(handler.command, handler.path, body=sent, headers=dict(handler.headers.items()))
        answer = connection.getresponse()
        body = answer.read()
        if "list-type" in handler.path:
            first = self.lists.setdefault(handler.path, body)
            body = first if fault == "stale-list" else body
        if fault == "lost-reply":
            return self.cut(handler)
        if fault == "wrong-bytes" and len(body) > 40:
            body = body[:20] + bytes([body[20] ^ 1]) + body[21:]
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                handler.send_header(name, value)
        size = answer.getheader("content-length") if handler.command == "HEAD" else len(body)
        handler.send_header("content-length", str(size or 0))
        handler.end_headers()
        if handler.command == "HEAD":
            return None
        if fault in ("truncated", "reset-answer"):
            handler.wfile.write(body[:len(body) // 2])
            handler.wfile.flush()
            return self.cut(handler)
        handler.wfile.write(body)
        return None

    @staticmethod
    def cut(handler):
        """Resets the connection."""
        handler.close_connection = True
        try:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
