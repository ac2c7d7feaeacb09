"""A WebSocket client that can also send what it must not."""

import base64
import hashlib
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode, data=b"", fin=True, mask=True, rsv=0):
    """The bytes of a frame."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    n, bit = len(data), 0x80 if mask else 0
    if n < 126:
        head = bytes([first, bit | n])
    elif n < 65536:
        head = bytes([first, bit | 126]) + struct.pack(">H", n)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", n)
    if not mask:
        return head + data
    key = os.urandom(4)
    value = int.from_bytes(data, "little") ^ int.from_bytes((key * (n // 4 + 1))[:n], "little")
    return head + key + value.to_bytes(n, "little")


def opening(target, key=None, headers=()):
    key = key or base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {target} HTTP/1.1", "Host: probe", "Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"] + list(headers)
    return "\r\n".join(lines) + "\r\n\r\n", key


class Closed(Exception):
    def __init__(self, code, reason=""):
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class WebSocket:
    """Over a probe.Client that has connected and sent nothing."""

    def __init__(self, client, target, headers=(), early=b""):
        self.client = client
        text, key = opening(target, headers=headers)
        client.send(text.encode() + early)
        answer = client.answer()
        assert answer and answer.status == 101, answer
        digest = hashlib.sha1((key + MAGIC).encode()).digest()
        assert answer.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        self.headers = answer.headers
        self.pings = 0
        self.answer_pings = True

    def send(self, data):
        text = isinstance(data, str)
        self.client.send(frame(TEXT if text else BINARY, data.encode() if text else data))

    def frame(self):
        """The next frame: opcode and data. Closed (1006) at the end of the connection."""
        try:
            head = self.client.file.read(2)
        except ConnectionResetError:
            head = b""
        if len(head) < 2:
            raise Closed(1006)
        n = head[1] & 0x7F
        assert not head[1] & 0x80, "a server's frames are not masked"
        assert head[0] & 0x70 == 0
        if n == 126:
            n, = struct.unpack(">H", self.client.file.read(2))
        elif n == 127:
            n, = struct.unpack(">Q", self.client.file.read(8))
        return head[0] & 0x0F, self.client.file.read(n)

    def receive(self):
        """The next message. Closed when the server says good-bye."""
        while True:
            opcode, data = self.frame()
            if opcode == TEXT:
                return data.decode()
            if opcode == BINARY:
                return data
            if opcode == PING:
                self.pings += 1
                if self.answer_pings:
                    self.client.send(frame(PONG, data))
            if opcode == CLOSE:
                code = struct.unpack(">H", data[:2])[0] if data else 1005
                raise Closed(code, data[2:].decode())

    def answer_close(self, code):
        """What a client says when the server has said good-bye."""
        self.client.send(frame(CLOSE, struct.pack(">H", code)))

    def close(self, code=1000, reason=""):
        """Closes as one should; returns the code of the answer."""
        self.client.send(frame(CLOSE, struct.pack(">H", code) + reason.encode()))
        try:
            while True:
                self.receive()
        except Closed as closed:
            return closed.code
