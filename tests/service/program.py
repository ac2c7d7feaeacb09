"""The server as a program whose standard error is read as it comes: for the tests of its start, signals
and end."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "cli"))
import cli  # noqa: E402

TALK = os.path.join(cli.SOURCE, "demo", "talk.flac")
NOTE = os.path.join(cli.SOURCE, "demo", "note.wav")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


def form(fields, file=None, data=None):
    """A multipart body and its content type."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in fields.items():
        body += (f"--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n"
                 f"{value}\r\n").encode()
    if file or data:
        if data is None:
            with open(file, "rb") as opened:
                data = opened.read()
        body += (f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; "
                 f"filename=\"{os.path.basename(file or 'a.wav')}\"\r\n\r\n").encode()
        body += data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class Server:
    """`auricle serve` on free ports; its standard error is read as it comes."""

    def __init__(self, *options, env=None, tls=None):
        self.tls = tls
        self.lines = []
        self.process = subprocess.Popen(
            [cli.AURICLE, "serve", "--port", "0", "--grpc-port", "0", *options],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env=cli.environment(**(env or {})))
        self.port = int(self.wait_for(r"listening on https?://\S+?:(\d+)").group(1))

    def wait_for(self, pattern):
        """The first line, of those not yet looked at, that fits."""
        for line in self.process.stderr:
            self.lines.append(line.decode().rstrip("\n"))
            found = re.search(pattern, self.lines[-1])
            if found:
                return found
        raise AssertionError(f"no line fits {pattern!r}:\n" + "\n".join(self.lines))

    def connect(self, timeout=120):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                               context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path,
                            headers={n.replace("_", "-"): v for n, v in headers.items()})

    def transcribe(self, file=NOTE, path="/v1/audio/transcriptions", headers=None, **fields):
        body, kind = form({"model": "whisper-1", **fields}, file)
        return self.request("POST", path, body, {"Content-Type": kind, **(headers or {})})

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """SIGTERM, and the exit code; the rest of standard error is kept."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        try:
            rest = self.process.communicate(timeout=120)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.lines += (rest or b"").decode().splitlines()
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.process.stderr.close()


def until(condition, seconds=60):
    """Wait for something that another process does."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("it did not happen")
        time.sleep(0.01)


def taken_port():
    """A listening socket and its port."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken, taken.getsockname()[1]
