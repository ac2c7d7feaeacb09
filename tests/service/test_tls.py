"""TLS in front of HTTP: what GnuTLS does with clients, and what the relay does with bytes and ends.

That everything else is as without it, the other tests show: they run a second time with
PROBE_TLS=1."""

import base64
import concurrent.futures
import json
import os
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import warnings

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "service"))
import probe  # noqa: E402


def resident_bytes(process):
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def is_sanitized():
    """A sanitizer keeps what is freed: memory then says nothing."""
    with open(probe.PROGRAM, "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


class HalfCloser:
    """A TLS client in memory: it can say close_notify and go on reading, which ssl.SSLSocket
    cannot."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), probe.LIMIT_SECONDS)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = probe.tls_context().wrap_bio(self.incoming, self.outgoing,
                                                server_hostname="localhost")
        self.until(self.tls.do_handshake)

    def until(self, step):
        while True:
            try:
                result = step()
                self.socket.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                data = self.socket.recv(65536)
                if not data:
                    self.incoming.write_eof()
                else:
                    self.incoming.write(data)

    def send(self, data):
        self.tls.write(data)
        self.socket.sendall(self.outgoing.read())

    def say_the_end(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.socket.sendall(self.outgoing.read())

    def read_all(self):
        """Everything, and whether close_notify ended it."""
        data = b""
        while True:
            try:
                piece = self.until(lambda: self.tls.read(65536))
            except ssl.SSLZeroReturnError:
                return data, True
            except (ssl.SSLEOFError, ssl.SSLSyscallError):
                return data, False
            if not piece:
                return data, True
            data += piece


class Tls(probe.Case):
    @classmethod
    def setUpClass(cls):
        cls.probe = probe.Probe(tls=True)

    def context(self, **settings):
        return probe.tls_context(**settings)

    def handshake(self, context, port=None):
        connection = socket.create_connection(("127.0.0.1", port or self.probe.port),
                                              probe.LIMIT_SECONDS)
        self.addCleanup(connection.close)
        return context.wrap_socket(connection, server_hostname="localhost")

    def test_curl_trusts_the_certificate_it_is_given(self):
        if not shutil.which("curl"):
            self.skipTest("curl is absent")
        url = f"https://localhost:{self.probe.port}"
        ca = probe.Certificate.get()[0]
        body = os.urandom(3000000)
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            for more in ([], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
                out = subprocess.run(["curl", "-sS", "--http1.1", "--cacert", ca, *more,
                                      "--data-binary", f"@{file.name}", f"{url}/upload"],
                                     capture_output=True, timeout=60)
                self.assertEqual((out.returncode, out.stdout.split()[:1]), (0, [b"3000000"]),
                                 out.stderr)
        out = subprocess.run(["curl", "-sS", f"{url}/hello"], capture_output=True, timeout=60)
        self.assertEqual(out.returncode, 60, "a certificate nobody vouches for was accepted")

    def test_versions_and_protocol(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            context = self.context(minimum_version=version, maximum_version=version)
            context.set_alpn_protocols(["h2", "http/1.1"])
            with self.handshake(context) as tls:
                self.assertEqual((tls.version(), tls.selected_alpn_protocol()), (name, "http/1.1"))

    def test_old_versions_are_refused(self):
        warnings.simplefilter("ignore", DeprecationWarning)
        context = self.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.handshake(context)

    def test_a_session_is_resumed(self):
        context = self.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        with self.handshake(context) as first:
            session = first.session
            self.assertFalse(first.session_reused)
        connection = socket.create_connection(("127.0.0.1", self.probe.port), probe.LIMIT_SECONDS)
        with context.wrap_socket(connection, server_hostname="localhost", session=session) as again:
            self.assertTrue(again.session_reused)

    def test_the_address_of_the_client_is_kept(self):
        self.assertEqual(json.loads(self.get("/models/x").body)["peer"], "127.0.0.1")

    def test_plain_http_is_turned_away(self):
        with socket.create_connection(("127.0.0.1", self.probe.port), probe.LIMIT_SECONDS) as plain:
            plain.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                answer = plain.recv(4096)
            except ConnectionResetError:
                answer = b""
            self.assertNotIn(b"HTTP/1.1", answer)
        self.assertEqual(self.get("/hello").status, 200)

    def test_a_client_that_says_close_notify_gets_its_answer(self):
        client = HalfCloser(self.probe.port)
        client.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                    b"Connection: close\r\n\r\nabcd")
        client.say_the_end()
        data, notified = client.read_all()
        self.assertTrue(data.startswith(b"HTTP/1.1 200"), data)
        self.assertTrue(notified)
        client.socket.close()

    def test_the_server_says_close_notify(self):
        client = HalfCloser(self.probe.port)
        client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data, notified = client.read_all()
        self.assertTrue(data.endswith(b"hello\n"))
        self.assertTrue(notified)
        client.socket.close()

    def test_a_damaged_record_ends_the_connection(self):
        client = HalfCloser(self.probe.port)
        client.tls.write(b"GET /held HTTP/1.1\r\n")
        record = bytearray(client.outgoing.read())
        record[-1] ^= 1
        client.socket.sendall(record)
        self.assertFalse(client.read_all()[0])
        client.socket.close()
        self.assertEqual(self.get("/hello").status, 200)

    def test_many_at_once(self):
        def one(i):
            with probe.Client(self.probe) as client:
                body = bytes([i % 256]) * 100000
                return client.request("/upload", "POST", body=body).body.split()[0]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertEqual(set(pool.map(one, range(64))), {b"100000"})

    def test_a_client_that_does_not_read_holds_the_server_back(self):
        """32 MB wait for it, in the server and not in the relay, and reach it whole later."""
        if is_sanitized():
            self.skipTest("built with a sanitizer")
        slow = self.client().send("GET /big?mb=32 HTTP/1.1\r\nHost: p\r\n\r\n")
        before = resident_bytes(self.probe.process)
        for _ in range(20):
            self.assertEqual(self.get("/hello").status, 200)
        self.assertLess(resident_bytes(self.probe.process) - before, 60 << 20)
        self.assertEqual(len(slow.answer().body), 32 << 20)

    def test_uploads_leave_memory_flat(self):
        if is_sanitized():
            self.skipTest("built with a sanitizer")

        def upload(mb):
            with probe.Client(self.probe) as client:
                client.send(f"POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: {mb << 20}\r\n\r\n")
                for _ in range(mb):
                    client.send(bytes(1 << 20))
                return client.answer().body.split()[0]
        self.assertEqual(upload(1), b"1048576")
        before = resident_bytes(self.probe.process)
        self.assertEqual(upload(40), str(40 << 20).encode())
        self.assertLess(resident_bytes(self.probe.process) - before, 4 << 20)

    def test_a_socket_echoes_at_once(self):
        """libmicrohttpd's own TLS took 48 ms for a frame."""
        client = self.client()
        key = base64.b64encode(os.urandom(16)).decode()
        client.send("GET /ws HTTP/1.1\r\nHost: p\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n")
        self.assertEqual(client.answer().status, 101)
        frame = bytes([0x82, 0xFE]) + struct.pack(">H", 640) + bytes(4) + bytes(640)
        times = []
        for _ in range(300):
            begun = time.perf_counter()
            client.send(frame)
            self.assertEqual(client.file.read(4 + 640)[:4], bytes([0x82, 126]) + struct.pack(">H", 640))
            times.append(time.perf_counter() - begun)
        print(f"echo of 640 bytes: p50 {statistics.median(times) * 1e6:.0f} us", file=sys.stderr)
        self.assertLess(statistics.median(times), 0.01)

    def kernels_view(self, client):
        """Of the server's socket: bytes in its queue, and which timer runs."""
        ours, theirs = (f"0100007F:{port:04X}" for port in (self.probe.port, client.getsockname()[1]))
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file]
        for row in rows:
            if row[1:3] == [ours, theirs]:
                return int(row[4].split(":")[0], 16), row[5].split(":")[0]
        self.fail("the kernel does not know this connection")

    def test_vanished_clients_are_noticed(self):
        """Keep-alive was set on the relay's socket pair, which cannot be lost."""
        client = self.client()
        client.request("/hello")
        deadline = time.monotonic() + probe.LIMIT_SECONDS
        while self.kernels_view(client.socket)[1] != "02":  # another while something is sent
            self.assertLess(time.monotonic(), deadline)

    def test_what_a_client_leaves_does_not_hide_in_the_kernel(self):
        client = self.client()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send("GET /big?mb=8 HTTP/1.1\r\nHost: p\r\n\r\n")
        while not self.kernels_view(client.socket)[0]:
            pass
        self.get("/hello")  # as much has been sent as will be
        self.assertLess(self.kernels_view(client.socket)[0], 256 << 10)

    def test_names_of_other_protocols_do_not_end_the_handshake(self):
        context = self.context()
        context.set_alpn_protocols(["spdy/9"])
        with self.handshake(context) as tls:
            self.assertIsNone(tls.selected_alpn_protocol())


class Handshake(probe.Case):
    @classmethod
    def setUpClass(cls):
        cls.probe = probe.Probe(tls=True, header_seconds=0.5)

    def test_a_client_that_says_nothing_is_let_go(self):
        for start in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
            with socket.create_connection(("127.0.0.1", self.probe.port), probe.LIMIT_SECONDS) as c:
                c.sendall(start)
                try:
                    self.assertEqual(c.recv(4096), b"")
                except ConnectionResetError:
                    pass


class Crowd(probe.Case):
    """Silent clients count before their handshake too."""

    @classmethod
    def setUpClass(cls):
        cls.probe = probe.Probe(tls=True, connections=8, header_seconds=3, idle_seconds=1)

    def setUp(self):
        """How many descriptors it has when nobody is there."""
        self.assertEqual(self.get("/hello").status, 200)
        self.few = self.descriptors()
        deadline = time.monotonic() + 2.5  # a client that left is read to its end for 2 s
        while time.monotonic() < deadline:
            self.few = min(self.few, self.descriptors())
            time.sleep(0.01)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.probe.process.pid}/fd"))

    def until_nobody_is_there(self):
        deadline = time.monotonic() + probe.LIMIT_SECONDS
        while self.descriptors() > self.few:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_more_than_may_come_are_closed_at_once(self):
        silent = [socket.create_connection(("127.0.0.1", self.probe.port), probe.LIMIT_SECONDS)
                  for _ in range(300)]
        try:  # the last one is over when the server has seen all
            self.assertEqual(silent[-1].recv(1), b"")
        except ConnectionResetError:
            pass
        self.assertLess(self.descriptors() - self.few, 3 * (8 + 64 + 1))
        for client in silent:
            client.close()
        self.until_nobody_is_there()
        self.assertEqual(self.get("/hello").status, 200)


    def test_a_client_that_takes_nothing_is_let_go_when_the_server_has_closed(self):
        """What the relay still had for it kept it there for ever."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.probe.port))
        tls = probe.tls_context().wrap_socket(client, server_hostname="localhost")
        self.addCleanup(tls.close)
        one = "GET /files/" + "x" * 20000 + " HTTP/1.1\r\nHost: p\r\n%s\r\n"
        tls.sendall((one % "" * 3 + one % "Connection: close\r\n").encode())
        self.assertGreater(self.descriptors(), self.few)
        self.until_nobody_is_there()


class Creation(unittest.TestCase):
    def refused(self, certificate, key):
        out = subprocess.run([probe.PROGRAM, f"certificate={certificate}", f"key={key}"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        self.assertEqual(out.returncode, 1)
        return out.stderr

    def test_files_that_do_not_serve_are_named(self):
        certificate, key = probe.Certificate.get()
        with tempfile.NamedTemporaryFile() as other:
            subprocess.run(["openssl", "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out",
                            other.name], check=True, capture_output=True)
            self.assertIn("PEM", self.refused(certificate, other.name))
        self.assertIn("PEM", self.refused(key, key))
        self.assertIn("/nowhere.pem", self.refused("/nowhere.pem", key))
        self.assertIn("/nowhere.pem", self.refused(certificate, "/nowhere.pem"))


if __name__ == "__main__":
    if not shutil.which("openssl"):
        print("skipped: the program openssl is absent, no certificate can be made")
        sys.exit(77)
    unittest.main()
