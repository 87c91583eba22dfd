# SPDX-License-Identifier: Apache-2.0
"""What transfers are held against."""
import os
import socket
import threading


class PlainServer:
    """The least that a server can do with a file: sendfile out, recv and write in.

    The same client speaks to it as to the cloud, so what the client costs is in both figures."""
    def __init__(self, source, target):
        self.source, self.target = source, target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/file"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                self.answer(peer)

    def answer(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(65536)
        head, rest = head.split(b"\r\n\r\n", 1)
        if head.startswith(b"GET"):
            size = os.path.getsize(self.source)
            peer.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode())
            with open(self.source, "rb") as f:
                peer.sendfile(f)
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        buffer = bytearray(1 << 20)
        with open(self.target, "wb") as out:
            out.write(rest)
            got = len(rest)
            while got < length and (n := peer.recv_into(buffer)):
                out.write(memoryview(buffer)[:n])
                got += n
        peer.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
