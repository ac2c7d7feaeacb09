"""WebSocket as RFC 6455 has it, over http_probe."""

import json
import os
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "service"))
import probe  # noqa: E402
import ws  # noqa: E402
from ws import BINARY, CLOSE, PING, PONG, TEXT, frame  # noqa: E402


class Case(probe.Case):
    def open(self, target="/ws", **more):
        return ws.WebSocket(self.client(), target, **more)

    def closes(self, socket, code):
        """The server closes with this code, and then the connection."""
        with self.assertRaises(ws.Closed) as caught:
            while True:
                socket.receive()
        self.assertEqual(caught.exception.code, code)
        self.assertTrue(socket.client.at_end())

    def cut(self):
        return json.loads(self.get("/over").body)["cut"]


class Handshake(Case):
    def test_what_is_no_handshake_is_refused(self):
        good, _ = ws.opening("/ws")
        for old, new, status in (("Upgrade: websocket", "Upgrade: h2c", 426),
                                 ("Connection: Upgrade", "Connection: keep-alive", 426),
                                 ("Version: 13", "Version: 8", 426),
                                 ("Sec-WebSocket-Version: 13\r\n", "", 426),
                                 ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: A", 400),
                                 ("Sec-WebSocket-Key", "X-Key", 400)):
            answer = self.client().send(good.replace(old, new)).answer()
            self.assertEqual(answer.status, status, new)
            if status == 426:
                self.assertEqual(answer.headers["sec-websocket-version"], "13")
        self.assertEqual(self.get("/ws").status, 426)
        self.assertEqual(self.get("/ws", method="POST", body=b"").status, 405)

    def test_lists_in_its_headers_are_read(self):
        good, _ = ws.opening("/ws")
        answer = self.client().send(good.replace("Connection: Upgrade",
                                                 "Connection: keep-alive, uPgrade")).answer()
        self.assertEqual(answer.status, 101)

    def test_pages_of_other_sites_may_not_connect(self):
        for origin, status in (("https://evil.example", 403), ("null", 403),
                               ("https://app.example", 101), ("http://probe", 101)):
            text, _ = ws.opening("/ws", headers=[f"Origin: {origin}"])
            self.assertEqual(self.client().send(text).answer().status, status, origin)

    def test_frames_that_come_with_the_header_are_read(self):
        socket = self.open(early=frame(TEXT, b"early") + frame(TEXT, b"bird"))
        self.assertEqual([socket.receive(), socket.receive()], ["early", "bird"])


class Messages(Case):
    def test_messages_of_all_lengths_come_back(self):
        socket = self.open()
        for n in (0, 1, 125, 126, 65535, 65536, 3_000_000):
            data = os.urandom(n)
            socket.send(data)
            self.assertEqual(socket.receive(), data)
        socket.send("h\u00e9\U0001f600")
        self.assertEqual(socket.receive(), "h\u00e9\U0001f600")
        self.assertEqual(socket.close(), 1000)

    def test_fragments_are_put_together_around_pings(self):
        socket = self.open()
        socket.client.send(frame(TEXT, b"a\xc3", fin=False) + frame(PING, b"p") +
                           frame(0, b"\xa9", fin=False) + frame(0, b"z"))
        self.assertEqual(socket.frame(), (PONG, b"p"))
        self.assertEqual(socket.receive(), "a\u00e9z")

    def test_frames_cut_into_bytes_are_read(self):
        socket = self.open()
        for byte in frame(TEXT, b"slow"):
            socket.client.send(bytes([byte]))
        self.assertEqual(socket.receive(), "slow")

    def test_many_messages_in_one_write(self):
        socket = self.open()
        socket.client.send(b"".join(frame(TEXT, b"%d" % i) for i in range(5000)))
        self.assertEqual([socket.receive() for _ in range(5000)], [str(i) for i in range(5000)])

    def test_a_paused_socket_goes_on_where_it_was(self):
        socket = self.open()
        socket.send("pause")
        socket.client.send(b"".join(frame(TEXT, b"%d" % i) for i in range(2000)))
        self.get("/resume")
        while True:  # /resume may have come before the pause
            socket.client.socket.settimeout(0.2)
            try:
                first = socket.frame()
                break
            except TimeoutError:
                socket.client.file = socket.client.socket.makefile("rb")
                self.get("/resume")
        socket.client.socket.settimeout(probe.LIMIT_SECONDS)
        self.assertEqual(first, (TEXT, b"0"))
        self.assertEqual([socket.receive() for _ in range(1999)],
                         [str(i) for i in range(1, 2000)])

    def test_the_backlog_of_a_slow_reader_is_known(self):
        socket = self.open()
        socket.send("flood")
        socket.send("backlog")
        for _ in range(64):
            self.assertEqual(len(socket.receive()), 65536)
        self.assertGreater(int(socket.receive()), 65536)


    @unittest.skipIf(os.environ.get("PROBE_TLS") == "1", "two threads on one TLS connection")
    def test_pings_are_not_read_on_and_on_while_nobody_takes_the_answers(self):
        """Answers without content are queued too: they took all of the memory."""
        n = 700_000
        socket = self.open()
        flood = b"".join([frame(PING)] * 1000) * (n // 1000) + frame(TEXT, b"still here?")
        sender = threading.Thread(target=socket.client.send, args=[flood], daemon=True)
        sender.start()
        sender.join(2)
        self.assertTrue(sender.is_alive(), "all of it was read")
        wanted = frame(PONG, mask=False) * n + frame(TEXT, b"still here?", mask=False)
        self.assertEqual(socket.client.file.read(len(wanted)) == wanted, True)
        sender.join()
        self.assertEqual(socket.close(), 1000)

    def test_pings_that_come_with_the_header_are_all_answered(self):
        n = 5000  # more than may be queued
        socket = self.open("/ws", early=frame(PING) * n + frame(TEXT, b"early"))
        self.assertEqual([socket.frame()[0] for _ in range(n)], [PONG] * n)
        self.assertEqual(socket.receive(), "early")


class Closing(Case):
    def test_the_server_closes_as_asked(self):
        socket = self.open()
        socket.send("close 4321")
        with self.assertRaises(ws.Closed) as caught:
            socket.receive()
        self.assertEqual((caught.exception.code, caught.exception.reason), (4321, "as you wish"))
        socket.client.send(frame(CLOSE, struct.pack(">H", 4321)))
        self.assertTrue(socket.client.at_end())

    def test_a_client_that_does_not_answer_a_close_is_let_go(self):
        socket = self.open()
        socket.send("close 1000")
        begin = time.monotonic()
        self.closes(socket, 1000)
        self.assertLess(time.monotonic() - begin, 6)

    def test_a_close_is_answered(self):
        self.assertEqual(self.open().close(1000, "bye"), 1000)
        socket = self.open()
        socket.client.send(frame(CLOSE))
        self.closes(socket, 1005)

    def test_wrong_frames_are_1002(self):
        for name, data in (("not masked", frame(TEXT, b"x", mask=False)),
                           ("reserved bits", frame(TEXT, b"x", rsv=4)),
                           ("reserved opcode", frame(3, b"x")),
                           ("continues nothing", frame(0, b"x")),
                           ("a new message inside another",
                            frame(TEXT, b"x", fin=False) + frame(TEXT, b"y")),
                           ("a ping in fragments", frame(PING, b"x", fin=False)),
                           ("a long ping", frame(PING, b"x" * 126)),
                           ("a close code that may not be sent",
                            frame(CLOSE, struct.pack(">H", 1005)))):
            with self.subTest(name):
                socket = self.open()
                socket.client.send(data)
                self.closes(socket, 1002)

    def test_text_that_is_no_utf8_is_1007(self):
        for data in (b"\xff", b"a\xc3", b"\xed\xa0\x80"):
            socket = self.open()
            socket.client.send(frame(TEXT, data))
            self.closes(socket, 1007)

    def test_messages_too_large_are_1009(self):
        for data in (frame(BINARY, b"x" * 1001),
                     frame(BINARY, b"x" * 600, fin=False) + frame(0, b"x" * 600),
                     bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 62)):
            socket = self.open("/ws?small=1")
            socket.client.send(data)
            self.closes(socket, 1009)
        socket = self.open("/ws?small=1")
        socket.send(b"x" * 1000)
        self.assertEqual(len(socket.receive()), 1000)

    def test_pings_unanswered_end_the_connection(self):
        socket = self.open("/ws?small=1")
        socket.answer_pings = False
        self.closes(socket, 1011)
        self.assertEqual(socket.pings, 2)

    def test_pings_answered_keep_it(self):
        socket = self.open("/ws?small=1")
        while socket.pings < 4:
            opcode, data = socket.frame()
            socket.pings += opcode == PING
            socket.client.send(frame(PONG, data))
        socket.send("still here")
        self.assertEqual(socket.receive(), "still here")

    def test_the_handler_hears_of_a_client_that_leaves(self):
        socket = self.open()
        total = sum(json.loads(self.get("/over").body)[k] for k in ("cut", "complete"))
        socket.client.close()
        deadline = time.monotonic() + 2
        while sum(json.loads(self.get("/over").body)[k] for k in ("cut", "complete")) < total + 2:
            self.assertLess(time.monotonic(), deadline)


if __name__ == "__main__":
    unittest.main()
