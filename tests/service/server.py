"""A running server for the tests: `auricle serve` on a free port, and requests without a library.

Whoever uses it gets the log of the server with every failure."""

import http.client
import json
import os
import re
import signal
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
START_SECONDS = 60


class Server:
    """with Server("--max-file-size", "1MB") as server: ..."""

    def __init__(self, *args, env=None, model=NANO, scheme="http"):
        self.log = []
        self.process = subprocess.Popen(
            [cli.AURICLE, "serve", "--host", "127.0.0.1", "--port", "0", "--grpc-port", "0",
             "--model", model, *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=cli.environment(**(env or {})))
        self.up = threading.Event()
        self.port = None
        self.pattern = re.compile(scheme + r"://127\.0\.0\.1:(\d+)")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.up.wait(START_SECONDS) or not self.port:
            self.process.kill()
            raise AssertionError("the server did not start:\n" + self.text())

    def _read(self):
        for line in self.process.stderr:
            line = line.decode(errors="replace")
            self.log.append(line)
            found = self.pattern.search(line)
            if found and not self.port:
                self.port = int(found.group(1))
                self.up.set()
        self.up.set()

    def text(self):
        return "".join(self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, seconds=20):
        """Ask it to end; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server did not end:\n" + self.text()) from None
        finally:
            self.reader.join(5)
            self.process.stderr.close()

    def connect(self, timeout=60):
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

    def post(self, path, fields=(), file=None, name="talk.flac", headers=None):
        """A form. fields: (name, value) pairs; file: its bytes, or None for none."""
        body, content_type = form(fields, file, name)
        return self.ask("POST", path, body, {"Content-Type": content_type, **(headers or {})})

    def transcribe(self, fields=(), file=None, **more):
        return self.post("/v1/audio/transcriptions", fields, read(TALK) if file is None else file,
                         **more)

    def wait_until(self, test, seconds=10):
        end = time.monotonic() + seconds
        while not test():
            if time.monotonic() > end:
                raise AssertionError("it did not come to that:\n" + self.text())
            time.sleep(0.02)


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
