"""HTTP as it should be: routes, bodies, late answers, streams, keep-alive, CORS."""

import concurrent.futures
import json
import os
import re
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "service"))
import probe  # noqa: E402


def rolling_sum(data):
    value = 0
    for byte in data:
        value = (value * 31 + byte) & 0xFFFFFFFF
    return value


class Routes(probe.Case):
    def test_a_plain_answer_has_the_headers_of_every_answer(self):
        answer = self.get("/hello")
        self.assertEqual((answer.status, answer.body), (200, b"hello\n"))
        self.assertRegex(answer.headers["x-request-id"], "^req_[0-9a-f]{32}$")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertEqual(answer.headers["server-timing"], "all;dur=0")
        self.assertIn("date", answer.headers)

    def test_a_sane_request_id_is_kept_and_another_is_replaced(self):
        for given, kept in (("abc-1.2_Z", True), ("x" * 64, True), ("x" * 65, False),
                            ("a b", False), ("\u00e9", False), ("", False)):
            answer = self.get("/hello", headers=[f"X-Request-Id: {given}"])
            self.assertEqual(answer.headers["x-request-id"] == given, kept, given)

    def test_params_take_one_segment_decoded(self):
        echo = json.loads(self.get("/models/openai%2Fwhisper%20%C3%A9").body)
        self.assertEqual(echo["id"], "openai/whisper \u00e9")
        self.assertEqual(self.get("/models/a/b").status, 404)
        self.assertEqual(self.get("/models/").status, 404)

    def test_a_starred_param_takes_the_rest(self):
        echo = json.loads(self.get("/files/a/b%20c/d").body)
        self.assertEqual((echo["id"], echo["path"]), ("a/b c/d", "/files/a/b c/d"))

    def test_query_values_are_decoded_and_may_be_repeated(self):
        echo = json.loads(self.get("/models/x?q=a+b&r=1&q=%26%3D&q&q=").body)
        self.assertEqual(echo["q"], ["a b", "&=", "", ""])

    def test_broken_targets_are_400(self):
        for target in ("/models/%", "/models/%zz", "/models/%00", "/models/%ff", "/models/x?q=%f",
                       "/models/x?q=%c3", "/models/%0a", "*x", "/a" * 20,
                       "/models/x?" + "&".join(f"a{i}" for i in range(65))):
            answer = self.get(target)
            self.assertEqual(answer.status, 400, target)
            self.assertIn("message", json.loads(answer.body)["error"])

    def test_unknown_paths_are_404_and_methods_405_with_allow(self):
        self.assertEqual(self.get("/nothing").status, 404)
        answer = self.get("/upload")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST, PUT, OPTIONS"))
        answer = self.get("/hello", method="DELETE")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD, OPTIONS"))
        self.assertEqual(self.get("/hello", method="BREW").status, 405)

    def test_head_is_get_without_a_body(self):
        with probe.Client(self.probe) as client:
            answer = client.request("/hello", method="HEAD")
            self.assertEqual((answer.status, answer.headers["content-length"]), (200, "6"))
            self.assertEqual(client.request("/stream", method="HEAD").status, 200)
            self.assertEqual(client.request("/hello").body, b"hello\n")

    def test_closed_routes_ask_for_a_key(self):
        self.assertEqual(self.get("/secret").status, 401)
        self.assertEqual(self.get("/secret", headers=["Authorization: Bearer tell"]).status, 200)

    def test_static_memory_is_served(self):
        self.assertEqual(self.get("/").body, b"<p>")

    def test_bad_hosts_are_400(self):
        for headers in ("", "Host: a\r\nHost: b\r\n", "Host:\r\n", "Host: a b\r\n",
                        "Host: a/b\r\n", "Host: \u00e9\r\n"):
            client = self.client().send(f"GET /hello HTTP/1.1\r\n{headers}\r\n")
            self.assertEqual(client.answer().status, 400, headers)
        client = self.client().send("GET /hello HTTP/1.0\r\n\r\n")
        self.assertEqual(client.answer().status, 200)


class Cors(probe.Case):
    def test_an_allowed_origin_may_read_and_another_may_not(self):
        answer = self.get("/hello", headers=["Origin: https://app.example"])
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")
        self.assertEqual(answer.headers["vary"], "Origin")
        answer = self.get("/hello", headers=["Origin: https://evil.example"])
        self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_preflights_name_methods_and_headers(self):
        wanted = ["Access-Control-Request-Method: POST",
                  "Access-Control-Request-Headers: authorization, x-y"]
        answer = self.get("/upload", method="OPTIONS",
                          headers=["Origin: https://app.example"] + wanted)
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["access-control-allow-methods"], "POST, PUT, OPTIONS")
        self.assertEqual(answer.headers["access-control-allow-headers"], "authorization, x-y")
        answer = self.get("/upload", method="OPTIONS",
                          headers=["Origin: https://evil.example"] + wanted)
        self.assertEqual(answer.status, 204)
        self.assertNotIn("access-control-allow-methods", answer.headers)

    def test_options_names_the_methods(self):
        answer = self.get("/hello", method="OPTIONS")
        self.assertEqual((answer.status, answer.headers["allow"]), (204, "GET, HEAD, OPTIONS"))
        self.assertEqual(self.get("/nothing", method="OPTIONS").status, 404)


class Bodies(probe.Case):
    def test_a_body_arrives_whole(self):
        for n in (0, 1, 70_000, 1_000_000):
            body = os.urandom(n)
            answer = self.get("/upload", method="POST", body=body)
            self.assertEqual(answer.body.decode(), f"{n} {rolling_sum(body)}")

    def test_a_chunked_body_arrives_decoded(self):
        body = os.urandom(5000)
        client = self.client().send("POST /upload HTTP/1.1\r\nHost: p\r\n"
                                    "Transfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(body), 700):
            piece = body[i:i + 700]
            client.send(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        client.send("0\r\nTrailer: x\r\n\r\n")
        self.assertEqual(client.answer().body.decode(), f"5000 {rolling_sum(body)}")

    def test_100_continue_comes_before_the_body(self):
        client = self.client().send("POST /limited HTTP/1.1\r\nHost: p\r\nContent-Length: 3\r\n"
                                    "Expect: 100-continue\r\n\r\n")
        self.assertEqual(client.header()[0], 100)
        self.assertEqual(client.send("abc").answer().status, 200)

    def test_a_refusal_comes_instead_of_100_continue(self):
        client = self.client().send("POST /limited HTTP/1.1\r\nHost: p\r\n"
                                    "Content-Length: 300000000\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.header()[0], 413)

    def test_a_large_upload_is_refused_and_the_client_can_read_why(self):
        for framing, data in (("Content-Length: 50000000", b"x" * 65536),
                              ("Transfer-Encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n")):
            client = self.client().send(
                f"POST /limited HTTP/1.1\r\nHost: p\r\n{framing}\r\n\r\n")
            try:
                for _ in range(100):
                    client.send(data)
            except OSError:
                pass
            answer = client.answer()
            self.assertEqual(answer.status, 413)
            self.assertEqual(answer.headers["connection"].lower(), "close")

    def test_a_small_refused_body_keeps_the_connection(self):
        client = self.client()
        self.assertEqual(client.request("/limited", method="POST", body=b"x" * 5000).status, 413)
        self.assertEqual(client.request("/hello").status, 200)

    def test_a_refused_path_with_a_body_keeps_the_connection(self):
        client = self.client()
        self.assertEqual(client.request("/nothing", method="POST", body=b"x" * 5000).status, 404)
        self.assertEqual(client.request("/hello").status, 200)

    def test_doubtful_framing_is_400_and_the_end(self):
        smuggled = "GET /hello HTTP/1.1\r\nHost: p\r\n\r\n"
        for lines in ("Content-Length: 3\r\nContent-Length: 3",
                      "Content-Length: 3\r\nTransfer-Encoding: chunked",
                      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                      "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: x"):
            client = self.client().send(f"POST /upload HTTP/1.1\r\nHost: p\r\n{lines}\r\n\r\n"
                                        f"abc{smuggled}")
            self.assertEqual(client.answer().status, 400, lines)
            self.assertTrue(client.at_end(), lines)
        client = self.client().send("POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: -4\r\n\r\n")
        self.assertEqual(client.answer().status, 400)

    def test_encoded_bodies_are_415_and_unknown_expectations_417(self):
        self.assertEqual(self.get("/upload", method="POST", body=b"x",
                                  headers=["Content-Encoding: gzip"]).status, 415)
        self.assertEqual(self.get("/upload", method="POST", body=b"x",
                                  headers=["Content-Encoding: identity"]).status, 200)
        self.assertEqual(self.get("/upload", method="POST", body=b"x",
                                  headers=["Expect: the-unexpected"]).status, 417)

    def test_headers_too_large_are_431(self):
        for lines in (["X-Long: " + "x" * 200_000], [f"X-{i}: {i}" for i in range(5000)],
                      ["X-Long: " + "x" * 40_000]):
            client = self.client()
            try:
                answer = client.request("/hello", headers=lines)
                self.assertEqual(answer.status, 431)
            except ConnectionResetError:
                pass


class Connections(probe.Case):
    def test_connections_are_kept(self):
        client = self.client()
        for _ in range(50):
            self.assertEqual(client.request("/hello").status, 200)

    def test_pipelined_requests_are_answered_in_order(self):
        client = self.client()
        client.send("".join(f"GET /models/{i} HTTP/1.1\r\nHost: p\r\n\r\n" for i in range(40)))
        got = [json.loads(client.answer().body)["id"] for _ in range(40)]
        self.assertEqual(got, [str(i) for i in range(40)])

    def test_pipelined_bodies_and_late_answers(self):
        client = self.client()
        client.send(b"".join(b"POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: 4\r\n\r\nabcd"
                             b"GET /thread HTTP/1.1\r\nHost: p\r\n\r\n" for _ in range(10)))
        for _ in range(10):
            self.assertTrue(client.answer().body.startswith(b"4 "))
            self.assertEqual(client.answer().body, b"from another thread")

    def test_http_1_0_and_connection_close_are_closed(self):
        client = self.client().send("GET /hello HTTP/1.0\r\n\r\n")
        self.assertEqual(client.answer().status, 200)
        self.assertTrue(client.at_end())
        client = self.client()
        self.assertEqual(client.request("/hello", headers=["Connection: close"]).status, 200)
        self.assertTrue(client.at_end())

    def test_many_answers_from_other_threads(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for answer in pool.map(lambda _: self.get("/thread"), range(300)):
                self.assertEqual(answer.body, b"from another thread")

    def test_a_late_answer_comes(self):
        client = self.client()
        client.send("GET /held HTTP/1.1\r\nHost: p\r\n\r\n")
        self.wait_held(1)
        self.get("/release")
        self.assertEqual(client.answer().body, b"released")

    def wait_held(self, n):
        deadline = time.monotonic() + probe.LIMIT_SECONDS
        while json.loads(self.get("/over").body)["held"] != n:
            self.assertLess(time.monotonic(), deadline)

    def test_a_half_closed_client_gets_its_late_answer(self):
        client = self.client()
        client.send("GET /held HTTP/1.1\r\nHost: p\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        self.wait_held(1)
        self.get("/release")
        self.assertEqual(client.answer().body, b"released")

    def test_a_half_closed_client_gets_its_stream(self):
        client = self.client().send("GET /stream?n=5 HTTP/1.1\r\nHost: p\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(client.answer().body.count(b"data:"), 5)


class Disconnects(probe.Case):
    """A client that leaves while its answer is being worked on is noticed within 200 ms."""

    def leave(self, send, **how):
        """The best of three: the machine may be busy with something else."""
        if min(self.leave_once(send, **how) for _ in range(3)) >= 0.2:
            self.fail("noticed too late")

    def leave_once(self, send, read=None, reset=False):
        before = json.loads(self.get("/over").body)["cut"]
        client = probe.Client(self.probe)
        client.send(send)
        if read:
            self.assertIn(read, client.socket.recv(4096))
        else:
            deadline = time.monotonic() + probe.LIMIT_SECONDS
            while json.loads(self.get("/over").body)["held"] == 0:
                self.assertLess(time.monotonic(), deadline)
        waiter = self.client().send(f"GET /over?cut={before + 1} HTTP/1.1\r\nHost: p\r\n\r\n")
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     b"\1\0\0\0\0\0\0\0")
        begin = time.monotonic()
        client.close()
        answer = waiter.answer()
        seconds = time.monotonic() - begin
        self.assertEqual(json.loads(answer.body)["cut"], before + 1)
        return seconds

    def test_while_an_answer_is_worked_on(self):
        self.leave("GET /held HTTP/1.1\r\nHost: p\r\n\r\n")

    def test_while_an_answer_is_worked_on_after_a_body(self):
        self.leave("POST /held HTTP/1.1\r\nHost: p\r\nContent-Length: 3\r\n\r\nabc")

    def test_by_a_reset(self):
        self.leave("GET /held HTTP/1.1\r\nHost: p\r\n\r\n", reset=True)

    def test_in_the_middle_of_a_stream(self):
        self.leave("GET /open HTTP/1.1\r\nHost: p\r\n\r\n", read=b"200 OK")

    def test_in_the_middle_of_a_body(self):
        before = json.loads(self.get("/over").body)["cut"]
        client = probe.Client(self.probe)
        # It leaves once its header was taken: what is unread when it closes makes TCP drop the rest.
        client.send("POST /upload HTTP/1.1\r\nHost: p\r\nContent-Length: 300\r\n"
                    "Expect: 100-continue\r\n\r\n")
        self.assertIn(b" 100 ", client.socket.recv(100))
        client.send("abc")
        client.close()
        answer = self.get(f"/over?cut={before + 1}")
        self.assertEqual(json.loads(answer.body)["cut"], before + 1)


class Streams(probe.Case):
    def test_pieces_come_in_order(self):
        answer = self.get("/stream?n=1000")
        self.assertEqual(re.findall(rb"data: (\d+)\n\n", answer.body),
                         [b"%d" % i for i in range(1000)])
        self.assertEqual(answer.headers["content-type"], "text/event-stream")

    def test_a_piece_is_sent_at_once(self):
        client = self.client().send("GET /open HTTP/1.1\r\nHost: p\r\n\r\n")
        self.assertEqual(client.header()[0], 200)
        self.assertEqual(client.chunk(), b"data: begin\n\n")

    def test_a_large_backlog_reaches_a_slow_reader_whole(self):
        answer = self.get("/big?mb=32")
        self.assertEqual((len(answer.body), set(answer.body)), (32 << 20, {ord("x")}))

    def test_a_backlog_beyond_the_limit_cuts_the_client_off(self):
        client = self.client().send("GET /big?mb=80 HTTP/1.1\r\nHost: p\r\n\r\n")
        total = 0
        try:
            while True:
                data = client.socket.recv(1 << 20)
                if not data:
                    break
                total += len(data)
        except ConnectionResetError:
            pass
        self.assertLess(total, 80 << 20)
        self.assertEqual(self.get("/hello").status, 200)

    def test_to_an_http_1_0_client_it_ends_with_the_connection(self):
        client = self.client().send("GET /stream?n=4 HTTP/1.0\r\n\r\n")
        answer = client.answer()
        self.assertEqual(answer.body.count(b"data:"), 4)
        self.assertNotIn("transfer-encoding", answer.headers)


class End(unittest.TestCase):
    def test_connections_without_a_whole_header_end_with_the_server(self):
        server = probe.Probe()
        clients = [probe.Client(server) for _ in range(3)]
        clients[1].send("GET /hello HTTP/1.1\r\nHo")
        clients[2].send("no HTTP\r\n\r\n")  # refused, and read for a while yet
        self.assertEqual(clients[2].answer().status, 400)
        with probe.Client(server) as last:  # all of them were accepted before this one
            self.assertEqual(last.request("/hello").status, 200)
        self.assertEqual(server.stop(), "")
        for client in clients:
            self.assertTrue(client.at_end())
            client.close()


if __name__ == "__main__":
    unittest.main()
