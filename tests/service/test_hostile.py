"""Clients that mean ill or are broken: they are ended in time, others are served meanwhile, and
nothing is left of them."""

import json
import os
import random
import resource
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "service"))
import probe  # noqa: E402
import ws  # noqa: E402

HEADER_SECONDS, IDLE_SECONDS, BODY_SECONDS = 1, 3, 1
SLACK_SECONDS = 4  # of a busy machine


class Case(probe.Case):
    numbers = {"header_seconds": HEADER_SECONDS, "idle_seconds": IDLE_SECONDS,
               "body_seconds": BODY_SECONDS, "body_rate": 1000}

    def counts(self):
        return json.loads(self.get("/over").body)

    def tearDown(self):
        """Others are served, and all connections but the one that asks are gone."""
        self.doCleanups()
        deadline = time.monotonic() + probe.LIMIT_SECONDS
        while True:
            counts = self.counts()
            if counts["connections"] == 1 and counts["held"] == 0:
                return
            self.assertLess(time.monotonic(), deadline, counts)

    def trickle(self, client, data, seconds_between=0.1):
        """Sends byte by byte, while others are served, until the server has had enough."""
        client.socket.settimeout(seconds_between)
        got = b""
        begin = time.monotonic()
        for byte in data:
            try:
                client.socket.send(bytes([byte]))
                piece = client.socket.recv(4096)
                got += piece
                if not piece:
                    break
            except TimeoutError:
                self.assertEqual(self.get("/hello").status, 200)
            except OSError:
                break
            self.assertLess(time.monotonic() - begin, probe.LIMIT_SECONDS)
        return got, time.monotonic() - begin


class Slow(Case):
    def test_slowloris_in_the_header(self):
        got, seconds = self.trickle(self.client(), b"GET /hello HTTP/1.1\r\n" + b"X-A: b\r\n" * 50)
        self.assertIn(b"408 Request Timeout", got)
        self.assertIn(b'"error"', got)
        self.assertLess(seconds, HEADER_SECONDS + SLACK_SECONDS)

    def test_slowloris_in_the_request_line(self):
        got, seconds = self.trickle(self.client(), b"GET /" + b"a" * 500)
        self.assertIn(b" 408 ", got)
        self.assertLess(seconds, HEADER_SECONDS + SLACK_SECONDS)

    def test_slowloris_after_a_good_request(self):
        client = self.client()
        self.assertEqual(client.request("/hello").status, 200)
        got, seconds = self.trickle(client, b"GET /hello HTTP/1.1\r\n" + b"X-A: b\r\n" * 50)
        self.assertIn(b" 408 ", got)
        self.assertLess(seconds, HEADER_SECONDS + IDLE_SECONDS + SLACK_SECONDS)

    def test_slow_bodies(self):
        for framing, data in (("Content-Length: 100000", b"x" * 200),
                              ("Transfer-Encoding: chunked", b"1\r\nx\r\n" * 50)):
            client = self.client().send(f"POST /upload HTTP/1.1\r\nHost: p\r\n{framing}\r\n\r\n")
            got, seconds = self.trickle(client, data)
            self.assertIn(b" 408 ", got)
            self.assertLess(seconds, BODY_SECONDS + SLACK_SECONDS)

    def test_a_connection_that_says_nothing(self):
        client = self.client()
        begin = time.monotonic()
        self.assertIn(b" 408 ", client.file.read())
        self.assertLess(time.monotonic() - begin, HEADER_SECONDS + SLACK_SECONDS)

    def test_a_connection_kept_idle(self):
        client = self.client()
        self.assertEqual(client.request("/hello").status, 200)
        begin = time.monotonic()
        client.file.read()
        self.assertLess(time.monotonic() - begin, IDLE_SECONDS + HEADER_SECONDS + SLACK_SECONDS)

    def test_a_reader_that_does_not_read(self):
        client = self.client().send("GET /big?mb=60 HTTP/1.1\r\nHost: p\r\n\r\n")
        self.assertEqual(client.socket.recv(12), b"HTTP/1.1 200")
        for _ in range(20):
            self.assertEqual(self.get("/hello").status, 200)
        before = self.counts()["cut"]
        self.assertEqual(json.loads(self.get(f"/over?cut={before + 1}").body)["cut"], before + 1)


class Broken(Case):
    def rejected(self, data, own=True):
        """With an error, in our own shape where we find it."""
        client = self.client()
        try:
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
            got = client.file.read()
        except OSError:
            got = b""
        self.assertRegex(got, b"^HTTP/1.1 [45]", data[:40])
        if own:
            self.assertIn(b'{"error":{"message":"', got, data[:40])
        self.assertEqual(self.get("/hello").status, 200)

    def test_what_is_no_http(self):
        for data in (b"\0", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
                     b"SSH-2.0-x\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b" GET / HTTP/1.1\r\nHost: p\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"GET / HTTP/1.1\r\n: p\r\n\r\n",
                     b"GET /%00 HTTP/1.1\r\nHost: p\r\n\r\n", b"A" * 100_000,
                     b"GET / HTTP/1.1\r\n" + b"X" * 100_000):
            self.rejected(data)

    def test_a_later_header_that_is_broken_ends_the_connection(self):
        """libmicrohttpd finds it, and has no words of ours; but nothing after it is heard."""
        good = b"GET /hello HTTP/1.1\r\nHost: p\r\n\r\n"
        for broken in (b"GARBAGE\r\n\r\n", b"GET /hello HTTP/9.9\r\nHost: p\r\n\r\n",
                       b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                       b"GET /hello HTTP/1.1\r\nHost: p\r\nbroken line\r\n\r\n",
                       b"POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: -4\r\n\r\n",
                       b"POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n",
                       b"POST /upload HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                       b"GET /hello HTTP/1.1\r\nHost: p\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
                       b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: p\r\n\r\n"):
            client = self.client()
            self.assertEqual(client.request("/hello").status, 200)
            try:
                client.send(broken + good)
                got = client.file.read()
            except OSError:
                got = b""  # reset while it was still sending
            self.assertNotIn(b"hello", got, broken[:60])
            self.assertNotIn(b"HTTP/1.1 2", got, broken[:60])
            client.close()

    def test_noise(self):
        seed = random.randrange(1 << 30)
        print("seed", seed, file=sys.stderr)
        noise = random.Random(seed)
        good = (b"POST /upload HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"4\r\nabcd\r\n0\r\n\r\n")
        for i in range(150):
            data = bytearray(good if i % 2 else noise.randbytes(noise.randrange(1, 3000)))
            for _ in range(noise.randrange(1, 6)):
                data[noise.randrange(len(data))] = noise.randrange(256)
            client = self.client()
            try:
                client.send(bytes(data))
                client.socket.shutdown(socket.SHUT_WR)
                client.file.read()
            except OSError:
                pass
            client.close()
        self.assertEqual(self.get("/hello").status, 200)

    def test_broken_chunks(self):
        for data in (b"x\r\n", b"-1\r\n", b"ffffffffffffffffffff\r\n", b"4\r\nabcdefgh\r\n", b"\r\n",
                     b"0x4\r\nabcd\r\n"):
            self.rejected(b"POST /upload HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n" +
                          data, own=False)

    def test_half_closed_in_the_middle(self):
        for data in ("GET /hel", "GET /hello HTTP/1.1\r\nHost: p\r\n",
                     "POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: 10\r\n\r\nabc"):
            client = self.client().send(data)
            client.socket.shutdown(socket.SHUT_WR)
            begin = time.monotonic()
            self.assertTrue(client.at_end())
            self.assertLess(time.monotonic() - begin, 0.5)

    def test_noise_over_websockets(self):
        seed = random.randrange(1 << 30)
        print("seed", seed, file=sys.stderr)
        noise = random.Random(seed)
        good = ws.WebSocket(self.client(), "/ws")
        for _ in range(60):
            bad = ws.WebSocket(self.client(), "/ws")
            try:
                bad.client.send(noise.randbytes(noise.randrange(1, 300)))
            except OSError:
                pass
            bad.client.close()
            good.send("still here")
            self.assertEqual(good.receive(), "still here")


class Many(Case):
    numbers = dict(Case.numbers, connections=1100, header_seconds=20, idle_seconds=20)

    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        super().setUpClass()

    @unittest.skipIf(os.environ.get("PROBE_TLS") == "1", "a thousand handshakes take long")
    def test_a_thousand_connections_and_one_more_than_allowed(self):
        clients = [self.client() for _ in range(1000)]
        for client in clients:
            client.send("GET /held HTTP/1.1\r\nHost: p\r\n\r\n")
        deadline = time.monotonic() + 2 * probe.LIMIT_SECONDS
        while self.counts()["held"] < 1000:
            self.assertLess(time.monotonic(), deadline)
        more = [self.client() for _ in range(100)]
        refused = self.client()
        answer = refused.answer()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.assertIn("error", json.loads(answer.body))
        for client in more:
            client.close()
        while True:  # until the server has seen that there is room again
            try:
                if self.get("/release").status == 200:
                    break
            except (ConnectionError, AttributeError):
                pass
            self.assertLess(time.monotonic(), deadline)
        for client in clients:
            self.assertEqual(client.answer().body, b"released")

    def test_clients_that_all_leave_at_once(self):
        before = self.counts()["cut"]
        clients = [self.client().send("GET /held HTTP/1.1\r\nHost: p\r\n\r\n") for _ in range(200)]
        deadline = time.monotonic() + probe.LIMIT_SECONDS
        while self.counts()["held"] < 200:
            self.assertLess(time.monotonic(), deadline)
        for client in clients:
            client.close()
        answer = self.get(f"/over?cut={before + 200}")
        self.assertEqual(json.loads(answer.body)["cut"], before + 200)

    def test_leaving_in_the_middle_of_pipelined_requests(self):
        for _ in range(20):
            client = self.client()
            client.send("GET /thread HTTP/1.1\r\nHost: p\r\n\r\n" * 20 +
                        "GET /big?mb=4 HTTP/1.1\r\nHost: p\r\n\r\n")
            client.socket.recv(100)
            client.close()
        self.assertEqual(self.get("/hello").status, 200)

    def test_leaving_in_the_middle_of_uploads(self):
        for n in (0, 1, 1000, 200_000):
            client = self.client()
            client.send(b"POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: 300000\r\n\r\n" +
                        b"x" * n)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        self.assertEqual(self.get("/hello").status, 200)


if __name__ == "__main__":
    unittest.main()
