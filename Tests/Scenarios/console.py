#!/usr/bin/env python3
"""console.py vnc|serial|spice URL: opens a console's address as a browser would (RFC 6455), says what its protocol begins
with, and prints what the guest's screen or line answers."""
# SPDX-License-Identifier: Apache-2.0
import base64
import os
import socket
import struct
import sys
import urllib.parse

# What the client says first: nothing in RFB, a carriage return on a line, a link message without channels in SPICE.
LINK = struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
FIRST = {"vnc": b"", "serial": b"\r", "spice": b"REDQ" + struct.pack("<III", 2, 2, len(LINK)) + LINK}


def path(url):
    """noVNC's page names the path of the WebSocket in its query; without one it is the page's own."""
    named = urllib.parse.parse_qs(url.query).get("path", [None])[0]
    return "/" + named.lstrip("/") if named else f"{url.path or '/'}?{url.query}"


def upgrade(proxy, url):
    key = base64.b64encode(os.urandom(16)).decode()
    proxy.sendall((f"GET {path(url)} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                   "Sec-WebSocket-Protocol: binary\r\n\r\n").encode())
    stream = proxy.makefile("rb")
    status = stream.readline().decode().strip()
    while stream.readline().strip():
        pass
    if " 101 " not in status:
        sys.exit(f"no WebSocket: {status}")
    return stream


def frame(word):
    mask = os.urandom(4)
    return bytes([0x82, 0x80 | len(word)]) + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(word))


def answer(stream):
    length = stream.read(2)[1] & 127
    if length == 126:
        length = struct.unpack(">H", stream.read(2))[0]
    return stream.read(length)


def main(kind, address):
    url = urllib.parse.urlsplit(address)
    with socket.create_connection((url.hostname, url.port), 10) as proxy:
        proxy.settimeout(20)
        stream = upgrade(proxy, url)
        if FIRST[kind]:
            proxy.sendall(frame(FIRST[kind]))
        said = answer(stream)
        print({"vnc": said[:12], "serial": b"%d bytes" % len(said), "spice": said[:4]}[kind].decode().strip())


if __name__ == "__main__":
    main(*sys.argv[1:])
