"""A running server for the tests: `auricle serve` on free ports, and requests without a library.

Whoever uses it gets the log of the server with every failure."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import cli

NANO = os.path.join(cli.SOURCE, "models", "nano")
TALK = os.path.join(cli.SOURCE, "demo", "talk.flac")
NOTE = os.path.join(cli.SOURCE, "demo", "note.wav")
WAIT_SECONDS = 60  # for what should take none, on a busy machine


class Server:
    """`auricle serve` on free ports; its standard error is read as it comes.

    with Server("--max-file-size", "1MB") as server: ...
    model: None for the one that is chosen without a word. tls: a context for clients."""

    def __init__(self, *options, env=None, model=NANO, tls=None):
        self.tls = tls
        self.lines = []
        self.looked_at = 0
        self.more = threading.Condition()
        self.process = subprocess.Popen(
            [cli.AURICLE, "serve", "--port", "0", "--grpc-port", "0",
             *(["--model", model] if model else []), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=cli.environment(**(env or {})))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.port = int(self.wait_for(r"listening on https?://\S+?:(\d+)").group(1))
        except AssertionError:
            self.close()
            raise

    def _read(self):
        for line in self.process.stderr:
            with self.more:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.more.notify_all()
        with self.more:
            self.lines.append(None)  # no more will come
            self.more.notify_all()

    def wait_for(self, pattern, seconds=WAIT_SECONDS):
        """The first line, of those not yet looked at, that fits."""
        with self.more:
            while self.more.wait_for(lambda: self.looked_at < len(self.lines), seconds):
                line = self.lines[self.looked_at]
                if line is None:
                    break
                self.looked_at += 1
                if found := re.search(pattern, line):
                    return found
        raise AssertionError(f"no line fits {pattern!r}:\n" + self.text())

    def text(self):
        """What it has said."""
        return "\n".join(line for line in self.lines if line is not None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=WAIT_SECONDS):
        """Its exit status, once it has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("the server did not end:\n" + self.text()) from None
        finally:
            self.close()

    def stop(self, seconds=WAIT_SECONDS):
        """Ask it to end; its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def close(self):
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(WAIT_SECONDS)
        self.process.stderr.close()

    def connect(self, timeout=120):
        if self.tls:
            return http.client.HTTPSConnection("localhost", self.port, timeout=timeout,
                                               context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, chunked=False):
        """One request on a connection of its own."""
        connection = self.connect()
        headers = dict(headers or {})
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        try:
            connection.request(method, path, body, headers, encode_chunked=chunked)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post(self, path, fields=(), file=None, name="talk.flac", headers=None):
        """A form. fields: (name, value) pairs; file: its bytes, or None for none."""
        body, content_type = form(fields, file, name)
        return self.ask("POST", path, body, {"Content-Type": content_type, **(headers or {})})

    def transcribe(self, fields=(), file=None, path="/v1/audio/transcriptions", **more):
        return self.post(path, fields, read(TALK) if file is None else file, **more)


def until(condition, seconds=WAIT_SECONDS):
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


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.type = response.headers.get("Content-Type", "")
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode()

    def events(self):
        """The data of server-sent events."""
        return [json.loads(line[6:]) for line in self.text().split("\n") if line.startswith("data: ")]


def form(fields, file=None, name="talk.flac", file_first=False):
    boundary = uuid.uuid4().hex
    parts = []
    for key, value in fields:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'.encode()
                     + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    if file is not None:
        parts.insert(0 if file_first else len(parts),
                     f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"'
                     '\r\nContent-Type: application/octet-stream\r\n\r\n'.encode() + file + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def heard_by_the_command(path, *args):
    """What the command line hears in a recording, as JSON."""
    done = cli.run("transcribe", "-q", "--model", NANO, "-f", "json", *args, path)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)
