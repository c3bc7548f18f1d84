"""A small RESP2/RESP3 client over a socket, standard library only.

Replies are kept as raw bytes, so that two servers can be compared byte by byte; `parse` turns
one into `(type, value)` tuples only where a comparison needs to look inside.
"""

import select
import socket
import time


class Closed(Exception):
    """The peer closed the connection, or sent nothing for too long."""


def encode(args):
    """A command as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def skip(buf, at):
    """End offset of the reply that starts at `at`, or -1 when `buf` does not hold all of it."""
    todo = 1
    while todo:
        end = buf.find(b"\r\n", at)
        if end < 0:
            return -1
        kind = buf[at]
        todo -= 1
        if kind in b"$=!":
            size = int(buf[at + 1:end])
            at = end + 2 if size < 0 else end + 4 + size
            if at > len(buf):
                return -1
            continue
        if kind in b"*~>":
            todo += max(0, int(buf[at + 1:end]))
        elif kind == 37:  # '%'
            todo += 2 * int(buf[at + 1:end])
        elif kind == 124:  # '|': an attribute comes in front of the reply proper
            todo += 2 * int(buf[at + 1:end]) + 1
        elif kind not in b"+-:,#_(":
            raise ValueError(f"not a reply at {at}: {bytes(buf[at:at + 40])!r}")
        at = end + 2
    return at


def parse(raw, at=0):
    """`((type, value), end)`; aggregates hold lists of such tuples, nulls hold None."""
    end = raw.index(b"\r\n", at)
    kind = chr(raw[at])
    line = bytes(raw[at + 1:end])
    at = end + 2
    if kind in "$=!":
        size = int(line)
        if size < 0:
            return ("$-", None), at
        return (kind, bytes(raw[at:at + size])), at + size + 2
    if kind in "*~>%|":
        count = int(line)
        if count < 0:
            return ("*-", None), at
        items = []
        for _ in range(count * (2 if kind in "%|" else 1)):
            item, at = parse(raw, at)
            items.append(item)
        return (kind, items), at
    return (kind, None if kind == "_" else line), at


def plain(reply):
    """A parsed reply as plain Python values, for tests that do not care about types."""
    kind, value = reply
    if isinstance(value, list):
        return [plain(item) for item in value]
    if kind == ":":
        return int(value)
    if kind == "-":
        return Exception(value.decode("latin-1"))
    return value


class Connection:
    """One connection. `timeout` bounds every wait, in seconds."""

    def __init__(self, port, timeout=20.0):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.port = port
        self.buf = bytearray()

    def send(self, data):
        """Sends all bytes while reading what comes back, so that neither side can stall."""
        view = memoryview(data)
        if len(view) < 65536:
            try:
                self.sock.sendall(view)
            except OSError as error:
                raise Closed(str(error)) from error
            return
        self.sock.setblocking(False)
        try:
            while view:
                readable, writable, _ = select.select([self.sock], [self.sock], [], self.timeout)
                if not readable and not writable:
                    raise Closed("send timed out")
                if readable:
                    self._receive()
                if writable:
                    view = view[self.sock.send(view):]
        except BlockingIOError:
            pass
        except OSError as error:
            raise Closed(str(error)) from error
        finally:
            self.sock.settimeout(self.timeout)
        if view:
            self.send(bytes(view))

    def _receive(self):
        try:
            data = self.sock.recv(1 << 18)
        except TimeoutError as error:
            raise Closed(f"no reply in time from port {self.port}") from error
        except OSError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed(f"the server on port {self.port} closed the connection")
        self.buf += data

    def replies(self, count, pushes=False):
        """The next `count` replies as raw bytes each; pushes are left out unless asked for."""
        out, at = [], 0
        while len(out) < count:
            end = skip(self.buf, at)
            if end < 0:
                self._receive()
                continue
            if pushes or self.buf[at] != 62:
                out.append(bytes(self.buf[at:end]))
            at = end
        del self.buf[:at]
        return out

    def until(self, suffix):
        """Everything up to and including `suffix`."""
        while not self.buf.endswith(suffix):
            self._receive()
        out = bytes(self.buf)
        self.buf.clear()
        return out

    def ready(self, seconds):
        """Whether a whole reply is there within the time; waits only for what is missing."""
        deadline = time.monotonic() + seconds
        while True:
            if self.buf and skip(self.buf, 0) >= 0:
                return True
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self.sock], [], [], left)[0]:
                return False
            self._receive()

    def drain_until_closed(self, seconds):
        """Bytes received until the peer closes or is silent for `seconds`; and whether it closed."""
        while True:
            if not select.select([self.sock], [], [], seconds)[0]:
                closed = False
                break
            try:
                self._receive()
            except Closed:
                closed = True
                break
        out = bytes(self.buf)
        self.buf.clear()
        return out, closed

    def call(self, *args):
        """One command, parsed reply as plain values. Words may be str, bytes or int."""
        words = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.send(encode(words))
        return plain(parse(self.replies(1)[0])[0])

    def close(self):
        """Closes the socket."""
        self.sock.close()
