# SPDX-License-Identifier: Apache-2.0
"""Requests that are no HTTP, or HTTP as smugglers write it: each is refused or cut off, and the next client is served."""
import socket

HEAD = b"Host: localhost\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"

# (sentence, bytes, statuses that are right; None stands for a closed connection)
CASES = [
    ("bytes that are no HTTP", b"\x00\x01\x02\x03\r\n\r\n", {400, None}),
    ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 40 + b"\r\n\r\n", {400, None}),
    ("an empty line and nothing else", b"\r\n\r\n", {400, None}),
    ("a method alone", b"GET\r\n\r\n", {400, None}),
    ("no version", b"GET /\r\n\r\n", {400, 505, None}),
    ("HTTP/0.9's two words with a header", b"GET /\r\n" + HEAD + b"\r\n", {400, 505, None}),
    ("HTTP/2.0 in the request line", b"GET / HTTP/2.0\r\n" + HEAD + b"\r\n", {400, 505, None}),
    ("HTTP/1.1 in small letters", b"GET / http/1.1\r\n" + HEAD + b"\r\n", {400, 505, None}),
    ("HTTP/9.9", b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n", {400, 505, None}),
    ("a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 404, 405, 501, 505, None}),
    ("no Host", b"GET /v3/ HTTP/1.1\r\n\r\n", {400}),
    ("two Hosts", b"GET /v3/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    ("a path of 20 KiB", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", {400, 414, 431, None}),
    ("a header of 20 KiB", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 20000 + b"\r\n\r\n", {400, 431, None}),
    ("4,000 headers", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"a: b\r\n" * 4000 + b"\r\n", {400, 431, None}),
    ("a header without a colon", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"nonsense\r\n\r\n", {400}),
    ("a header without a name", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b": x\r\n\r\n", {400}),
    ("a blank before the colon", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"X-Auth-Token : x\r\n\r\n", {400}),
    ("a folded header", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"X: a\r\n b\r\n\r\n", {400, 200}),
    ("NUL in a header", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"X: a\x00b\r\n\r\n", {400}),
    ("NUL in the path", b"GET /v3/\x00 HTTP/1.1\r\n" + HEAD + b"\r\n", {400}),
    ("a lone CR in a header", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"X: a\rb\r\n\r\n", {400, 200}),
    ("bytes above 127 in the path", b"GET /v3/\xff\xfe HTTP/1.1\r\n" + HEAD + b"\r\n", {400, 401, 404}),
    ("a fragment in the path", b"GET /v3/#x HTTP/1.1\r\n" + HEAD + b"\r\n", {400, 401, 404, 200}),
    ("the asterisk", b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n", {200, 204, 400, 401, 404, 405}),
    ("an absolute address", b"GET http://other/v3/ HTTP/1.1\r\n" + HEAD + b"\r\n", {200, 400, 401, 404}),
    ("a proxy's CONNECT", b"CONNECT other:22 HTTP/1.1\r\n" + HEAD + b"\r\n", {400, 401, 404, 405, 501}),
    ("a path without a slash", b"GET v3 HTTP/1.1\r\n" + HEAD + b"\r\n", {400, 401, 404}),
    ("dots that climb", b"GET /../../../etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n", {400, 401, 404}),
    ("a method of 5,000 letters", b"A" * 5000 + b" / HTTP/1.1\r\n" + HEAD + b"\r\n", {400, 401, 404, 405, 501, None}),
    ("two lengths", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", {400}),
    ("a length twice", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", {400}),
    ("a negative length", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: -1\r\n\r\n", {400}),
    ("a length with a sign", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: +2\r\n\r\n{}", {400}),
    ("a length in hexadecimal", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 0x2\r\n\r\n{}", {400}),
    ("a length list", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 2, 2\r\n\r\n{}", {400}),
    ("a length beyond 64 bits", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
     {400, 413}),
    ("a body said to be 1 TiB", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 1099511627776\r\n\r\n{}", {400, 413}),
    ("a body of 3 MB", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 3000000\r\n\r\n" + b" " * 3000000,
     {400, 413}),
    ("length and chunks", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     {400}),
    ("chunks said twice", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     {400, 501}),
    ("an unknown encoding", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     {400, 501}),
    ("an encoding in disguise", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
     {400, 501}),
    ("a chunk of no size", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
     {400, None}),
    ("a chunk of a negative size", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
     {400, None}),
    ("a chunk beyond 64 bits", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
     {400, 413, None}),
    ("good chunks", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", {400}),
    ("chunks with an extension and a trailer", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON
     + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX-Auth-Token: t\r\n\r\n", {400}),
    ("HTTP/1.0 with chunks", b"POST /v3/auth/tokens HTTP/1.0\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", {400}),
    ("HTTP/1.0", b"GET /v3/ HTTP/1.0\r\n\r\n", {200}),
    ("a body that ends early", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Content-Length: 10\r\n\r\n{}", {400, None}),
    ("an Expect nobody knows", b"POST /v3/auth/tokens HTTP/1.1\r\n" + JSON + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n{}", {400, 417}),
    ("a GET with a body", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"Content-Length: 3\r\n\r\nabc", {200, 400}),
    ("an upgrade nobody offers", b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AA\r\n\r\n", {200, 400}),
    ("a WebSocket where none is", b"GET /v3/ HTTP/1.1\r\n" + HEAD
     + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 99\r\n\r\n", {200, 400, 426}),
    ("line ends of LF alone", b"GET /v3/ HTTP/1.1\nHost: localhost\n\n", {200, 400, None}),
    ("three requests at once", (b"GET /v3/ HTTP/1.1\r\n" + HEAD + b"\r\n") * 3, {200}),
    ("a second request behind a bad one", b"GET /v3/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /v3/ HTTP/1.1\r\n" + HEAD + b"\r\n", {400}),
]


def send(port, data):
    """The status of the first answer, or None when the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", port), 15) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server may answer and close before all is sent
        answer = b""
        try:
            while b"\r\n" not in answer:
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
        except ConnectionResetError:
            pass
    if not answer:
        return None
    words = answer.split(b"\r\n", 1)[0].split(b" ")
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else -1


def run(ports):
    """Counts of what went well and what did not; says what did not. The ports come with the path that is put first."""
    passed = failed = 0
    for port, mount in ports:
        for sentence, data, right in CASES:
            try:
                status = send(port, data.replace(b" /v3/", b" " + mount.encode() + b"/v3/"))
            except OSError as problem:
                status = type(problem).__name__
            served = send(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") in (200, 300, 404)
            if status in right and served:
                passed += 1
            else:
                failed += 1
                print(f"  FAIL  raw: {sentence}, port {port}: {status}, right is one of {right}"
                      + ("" if served else "; the next client is not served"))
    return passed, failed
