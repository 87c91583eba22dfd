# SPDX-License-Identifier: Apache-2.0
"""One connection to one port that sends exactly the bytes it is told, so that requests may be wrong in every way."""
import socket


class Lost(Exception):
    """The server closed the connection, or kept silent, instead of answering."""


class Answer:
    """A response as it came."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return next((value for key, value in self.headers if key == name.lower()), None)


class Connection:
    """Speaks HTTP/1.1 over a socket that is kept while the server keeps it."""

    def __init__(self, port, timeout=30):
        self.port, self.timeout = port, timeout
        self.socket, self.rest = None, b""

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.rest = None, b""

    def ask(self, method, data):
        """Sends a request; once more on a fresh connection when the kept one turns out to be closed."""
        kept = self.socket is not None
        try:
            return self.exchange(method, data)
        except (Lost, OSError) as problem:
            self.close()
            if not kept or isinstance(problem, TimeoutError):
                raise Lost(str(problem) or type(problem).__name__) from None
        try:
            return self.exchange(method, data)
        except (Lost, OSError) as problem:
            self.close()
            raise Lost(str(problem) or type(problem).__name__) from None

    def exchange(self, method, data):
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        broken = None
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError as problem:
            broken = problem  # an early answer may still stand in the buffer
        try:
            answer = self.read(method)
        except OSError:
            raise broken or Lost("the connection was reset") from None
        if broken or (answer.header("connection") or "").lower() == "close":
            self.close()
        return answer

    def read(self, method):
        while True:
            head = self.until(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status != 100:
                break
        headers = [(key.lower(), value.strip()) for key, _, value in (line.partition(":") for line in lines[1:])]
        answer = Answer(status, headers, b"")
        if method == "HEAD" or status in (204, 304):
            return answer
        if (answer.header("transfer-encoding") or "") == "chunked":
            answer.body = self.chunks()
        elif answer.header("content-length") is not None:
            answer.body = self.exactly(int(answer.header("content-length")))
        else:
            raise Lost(f"a {status} without a length")
        return answer

    def chunks(self):
        body = b""
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            body += self.exactly(size)
            self.exactly(2)
            if size == 0:
                return body

    def more(self):
        data = self.socket.recv(262144)
        if not data:
            raise Lost("the connection was closed without an answer")
        self.rest += data

    def until(self, mark):
        while mark not in self.rest:
            self.more()
        head, _, self.rest = self.rest.partition(mark)
        return head

    def exactly(self, count):
        while len(self.rest) < count:
            self.more()
        data, self.rest = self.rest[:count], self.rest[count:]
        return data
