"""Starts http_probe and speaks HTTP to it over bare sockets, so that a test can be as rude as it
likes. Nothing sleeps: a test waits for what it expects, with a limit."""

import atexit
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

import certificate

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "http_probe"
LIMIT_SECONDS = 30  # of a busy machine
# What was freed is overwritten at once, so that using it shows without a sanitizer too.
PERTURBED = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165"}


class Certificate:
    """A key and a certificate for localhost that vouches for itself, made once."""

    made = None

    @classmethod
    def get(cls):
        if not cls.made:
            folder = tempfile.mkdtemp()
            atexit.register(shutil.rmtree, folder)
            cls.made = certificate.make(folder)
        return cls.made


class TlsSocket(ssl.SSLSocket):
    """Says that no more comes as plain sockets do, and goes on reading."""

    def shutdown(self, how):
        socket.socket.shutdown(self, how)


def tls_context(**settings):
    context = ssl.create_default_context(cafile=Certificate.get()[0])
    context.sslsocket_class = TlsSocket
    for name, value in settings.items():
        setattr(context, name, value)
    return context


class Probe:
    """A running http_probe, or live_probe. PROBE_TLS=1 in the environment puts TLS in front of every one."""

    def __init__(self, *arguments, tls=None, **numbers):
        self.tls = os.environ.get("PROBE_TLS") == "1" if tls is None else tls
        if self.tls:
            numbers["certificate"], numbers["key"] = Certificate.get()
        self.process = subprocess.Popen(
            [PROGRAM, *arguments] + [f"{name}={value}" for name, value in numbers.items()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=PERTURBED)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        """Ends it in good order; returns what it said on standard error."""
        self.process.stdin.close()
        errors = self.process.stderr.read().decode()
        status = self.process.wait(LIMIT_SECONDS)
        self.process.stdout.close()
        self.process.stderr.close()
        assert status == 0, f"http_probe ended with {status}: {errors}"
        return errors

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), LIMIT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            return tls_context().wrap_socket(connection, server_hostname="localhost")
        return connection


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.body[:80]!r}>"


class Client:
    """One connection."""

    def __init__(self, probe):
        self.socket = probe.connect()
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def request(self, target, method="GET", headers=(), body=None, head=False):
        lines = [f"{method} {target} HTTP/1.1", "Host: probe"] + list(headers)
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        return self.answer(head or method == "HEAD")

    def header(self):
        """Status and headers of the next answer, interim ones too; None at the end."""
        line = self.file.readline()
        if not line:
            return None
        status = int(line.split()[1])
        headers = {}
        while True:
            line = self.file.readline().rstrip(b"\r\n").decode()
            if not line:
                return status, headers
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()

    def chunk(self):
        n = int(self.file.readline(), 16)
        data = self.file.read(n)
        assert self.file.readline() == b"\r\n"
        return data

    def answer(self, head=False):
        while True:
            found = self.header()
            if found is None:
                return None
            status, headers = found
            if status >= 200 or status == 101:
                break
        body = b""
        if head or status in (101, 204, 304):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        elif "content-length" in headers:
            body = self.file.read(int(headers["content-length"]))
        else:
            body = self.file.read()
        return Answer(status, headers, body)

    def at_end(self):
        """The server has closed, or closes within the limit."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True


class Case(unittest.TestCase):
    arguments = []
    numbers = {}

    @classmethod
    def setUpClass(cls):
        cls.probe = Probe(*cls.arguments, **cls.numbers)

    @classmethod
    def tearDownClass(cls):
        errors = cls.probe.stop()
        assert "ERROR" not in errors, errors

    def client(self):
        client = Client(self.probe)
        self.addCleanup(client.close)
        return client

    def get(self, target, **more):
        with Client(self.probe) as client:
            return client.request(target, **more)
