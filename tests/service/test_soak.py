"""The server under everything at once for a while: uploads, streams, live audio, mistakes, clients that
leave. Nobody fails who does not deserve it, and memory does not grow.

Run as: test_soak.py [SECONDS] (600)."""

import base64
import json
import os
import socket
import struct
import sys
import threading
import time

from server import NOTE, TALK, Server, form, read, until

SECONDS = float(sys.argv.pop(1)) if len(sys.argv) > 1 else 600.0
WARM = 0.25          # the share of the time after which memory should have settled
GROWTH_MB = 12       # allowed from then on: several times the scatter of one run
TRANSCRIPTIONS = "/v1/audio/transcriptions"


class Soak:
    def __init__(self, server):
        self.server = server
        self.end = time.monotonic() + SECONDS
        self.counts, self.failures = {}, []
        self.memory = []

    def over(self):
        return time.monotonic() > self.end or len(self.failures) > 10

    def repeat(self, work):
        while not self.over():
            try:
                work()
                self.counts[work.__name__] = self.counts.get(work.__name__, 0) + 1
            except Exception as error:  # whatever it is, it is what this test looks for
                self.failures.append(f"{work.__name__}: {error!r}")

    # ---- What clients do ----

    def upload(self):
        answer = self.server.transcribe(file=read(NOTE), name="note.wav")
        assert answer.status == 200 and "text" in answer.json(), answer.text()

    def stream(self):
        answer = self.server.transcribe([("stream", "true")])
        assert answer.events()[-1]["type"] == "transcript.text.done", answer.text()

    def mistake(self):
        for fields, file in (([("temperature", "hot")], b"x"), ([], b"no recording"), ([], b"")):
            answer = self.server.transcribe(fields, file or b" ")
            assert answer.status == 400, (answer.status, answer.text())
        time.sleep(0.05)

    def leave(self):
        body, content_type = form([], read(TALK))
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as client:
            client.sendall(f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}"
                           f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.1)

    def speak(self):
        """Live audio, sent four times as fast as it is spoken."""
        samples = read(NOTE)[44:]
        with Live(self.server.port) as live:
            for at in range(0, len(samples), 3200):
                live.send(2, samples[at:at + 3200])
                time.sleep(0.025)
            live.send(1, b'{"type": "CloseStream"}')
            kinds = [event["type"] for event in live.events()]
        assert kinds and "Metadata" in kinds and "Error" not in kinds, kinds

    # ---- What is looked at ----

    def watch(self):
        while not self.over():
            with open(f"/proc/{self.server.process.pid}/status", encoding="ascii") as file:
                kb = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            self.memory.append((time.monotonic(), kb / 1024))
            time.sleep(0.5)

    def run(self):
        works = [self.upload, self.stream, self.mistake, self.leave, self.speak, self.speak]
        threads = [threading.Thread(target=self.repeat, args=(work,)) for work in works]
        threads.append(threading.Thread(target=self.watch))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def growth(self):
        """Megabytes between the middles of the first and the last third after warming up."""
        begin = self.memory[0][0] + WARM * (self.memory[-1][0] - self.memory[0][0])
        settled = sorted(self.memory)[next(i for i, m in enumerate(self.memory) if m[0] >= begin):]
        third = max(1, len(settled) // 3)
        middle = lambda rows: sorted(mb for _, mb in rows)[len(rows) // 2]
        return middle(settled[:third]), middle(settled[-third:])


class Live:
    """Just enough of a WebSocket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            "GET /v1/stream?encoding=linear16&sample_rate=16000 HTTP/1.1\r\nHost: x\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline() != b"\r\n":
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, opcode, data):
        n = len(data)
        size = bytes([0x80 | n]) if n < 126 else bytes([0x80 | 126]) + struct.pack(">H", n)
        self.socket.sendall(bytes([0x80 | opcode]) + size + bytes(4) + data)  # a mask of zeros

    def events(self):
        while head := self.file.read(2):
            n = head[1] & 127
            if n >= 126:
                n = int.from_bytes(self.file.read(2 if n == 126 else 8), "big")
            data = self.file.read(n)
            if head[0] & 15 == 8:
                return
            if head[0] & 15 == 1:
                yield json.loads(data)


def main():
    with Server() as server:
        soak = Soak(server)
        soak.run()
        before, after = soak.growth()
        print(f"{SECONDS:.0f} s: {soak.counts}; resident {before:.1f} MB, then {after:.1f} MB")
        until(lambda: server.get("/health").json()["active"] == 0)
        status = server.stop()
    assert not soak.failures, soak.failures[:10]
    assert status == 0, server.text()
    assert all(soak.counts.get(work) for work in ("upload", "stream", "mistake", "leave", "speak"))
    assert after - before < GROWTH_MB, f"memory grew from {before:.1f} to {after:.1f} MB"


main()
