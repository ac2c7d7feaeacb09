"""The server as a program: start, keys, limits, signals, what it says of itself."""

import concurrent.futures
import http.client
import io
import json
import os
import re
import signal
import socket
import ssl
import sys
import time
import unittest
import wave

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "service"))
import certificate  # noqa: E402
import probe  # noqa: E402
import server  # noqa: E402
import ws  # noqa: E402
from server import NOTE, cli, read  # noqa: E402

KEY_A = "alpha-0123456789abcdef"
KEY_B = "beta-0123456789abcdef"
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


class Case(cli.Case):
    def start(self, *options, **more):
        started = server.Server(*options, model=None, **more)
        self.addCleanup(started.close)
        return started

    def listen(self, s, query, headers=()):
        """A live session: its first event has come."""
        class Wire:
            def connect(self):
                return socket.create_connection(("127.0.0.1", s.port), server.WAIT_SECONDS)

        client = probe.Client(Wire())
        self.addCleanup(client.close)
        stream = ws.WebSocket(client, "/v1/stream?" + query, headers)
        self.opening = json.loads(stream.receive())
        self.assertEqual(self.opening["type"], "Open")
        return stream

    def to_the_end(self, stream):
        """Its events, and the code it is closed with."""
        events = []
        try:
            while True:
                events.append(json.loads(stream.receive()))
        except ws.Closed as closed:
            return events, closed.code

    def refused(self, *options, words, code=cli.USAGE, env=None):
        done = cli.run("serve", "--grpc-port", "0", *options, env=env, timeout=60)
        self.expect(done, code, *words)
        self.assertNotIn("listening", done.stderr)


class Start(Case):
    def test_it_says_where_it_listens_and_how_to_try_it(self):
        s = self.start()
        s.wait_for(rf"try: curl http://127.0.0.1:{s.port}/v1/audio/transcriptions .*-F file=@")
        self.assertTrue(any("model nano" in line for line in s.text().splitlines()))
        self.assertEqual(s.stop(), 0)

    def test_mistakes_are_sentences(self):
        taken, port = server.taken_port()
        with taken:
            self.refused("--port", str(port), words=[str(port), "127.0.0.1"])
        self.refused("--port", "99999", words=["\"99999\""])
        self.refused("--host", "no-such-host.invalid", words=["no-such-host.invalid"])
        self.refused("--tls-cert", "x.pem", words=["--tls-key"])
        self.refused("--cors-origin", "example.org", words=["https://example.org"])
        self.refused("--max-file-size", "much", words=["\"much\"", "500MB"])
        self.refused("--drain-timeout", "soon", words=["\"soon\"", "never"])
        self.refused("--spool-folder", "/no/such/folder", words=["/no/such/folder"])
        self.refused("talk.mp3", words=["talk.mp3"])
        self.refused("--api-keys-file", "/no/keys", words=["/no/keys"])
        self.refused("--model", "no-such-model", "--no-pull", code=cli.MODEL,
                     words=["no-such-model"])
        self.refused("--port", "0", words=["MAX_WAITING"], env={"MAX_WAITING": "none"})

    def test_other_machines_come_in_with_keys_or_by_will(self):
        self.refused("--host", "0.0.0.0", "--port", "0", words=["--api-keys-file", "--insecure-bind"])
        s = self.start("--host", "0.0.0.0", "--insecure-bind")
        self.assertEqual(s.get("/health").status, 200)
        s = self.start("--host", "0.0.0.0", env={"AURICLE_API_KEYS": KEY_A})
        self.assertEqual(s.get("/v1/models").status, 401)
        self.assertEqual(s.ask("GET", "/v1/models", headers=bearer(KEY_A)).status, 200)

    def test_no_setting_of_the_server_is_warned_of(self):
        s = self.start(env={"MAX_FILE_SIZE": "1MB", "WHISPER_MODEL_CACHE_SIZE": "3",
                            "ENABLE_REST": "true", "MAX_CONCURRENT_JOBS": "3"})
        warnings = [line for line in s.text().splitlines() if "warning" in line]
        self.assertEqual(len(warnings), 1, warnings)
        self.assertIn("MAX_CONCURRENT_JOBS", warnings[0])

    def test_rest_can_be_turned_off(self):
        s = self.start(env={"ENABLE_REST": "False"})
        self.assertEqual(s.get("/health").status, 200)
        for path in ("/", "/v1/models", "/openapi.json"):
            self.assertEqual(s.get(path).status, 404)

    def test_the_service_manager_is_told(self):
        path = self.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(60)
            s = self.start(env={"NOTIFY_SOCKET": path})
            self.assertEqual(manager.recv(1000), b"READY=1")
            s.signal(signal.SIGTERM)
            self.assertTrue(manager.recv(1000).startswith(b"STOPPING=1"))
            self.assertEqual(s.wait(), 0)


class Models(Case):
    def install(self, *names):
        """A folder of models, each another name of the bundled one."""
        os.makedirs(self.path("models"))
        for name in names:
            os.symlink(os.path.abspath(server.NANO), self.path("models", name))
        return ("--model-dir", self.path("models"), "--model", names[0])

    def test_a_model_is_described_under_each_of_its_names(self):
        s = self.start(*self.install("base", "tiny"))
        for name, default in (("whisper-1", True), ("openai/whisper-base", True), ("tiny", False),
                              ("openai/whisper-tiny", False)):
            model = s.get("/v1/models/" + name).json()
            self.assertEqual((model["id"], model["default"]), (name, default))
        self.assertEqual(s.get("/v1/models/small").json()["error"]["code"], "model_not_found")


    def test_a_model_there_is_no_room_for_may_be_asked_for_later(self):
        s = self.start(*self.install("base", "tiny"), "--pin", "base", "--models-loaded", "1")
        answer = s.transcribe([("model", "tiny")], file=read(NOTE))
        self.assertEqual((answer.status, answer.json()["error"]["type"]), (503, "server_error"))
        self.assertIn("pinned", answer.json()["error"]["message"])
        self.assertEqual(answer.headers["Retry-After"], "1")


class Keys(Case):
    def write_keys(self, text):
        path = self.path("keys")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def test_a_key_is_asked_for_where_it_should_be(self):
        s = self.start("--api-keys-file", self.write_keys(f"a:{KEY_A}\nb:{KEY_B}\n"))
        for path in ("/health", "/ready", "/", "/openapi.json"):
            self.assertEqual(s.get(path).status, 200, path)
        for path in ("/metrics", "/stats", "/sessions", "/v1/models"):
            for headers in ({}, bearer("x" * 22), bearer(KEY_A[:-1]), bearer(KEY_A + "x"),
                            {"Authorization": "Basic " + KEY_A}, {"Authorization": KEY_A}):
                answer = s.ask("GET", path, headers=headers)
                self.assertEqual(answer.status, 401)
                error = answer.json()["error"]
                self.assertEqual((error["type"], error["code"]),
                                 ("invalid_request_error", "invalid_api_key"))
                self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")
            for headers in (bearer(KEY_A), {"authorization": "bearer " + KEY_B},
                            {"Authorization": "Token " + KEY_A}, {"X-API-Key": KEY_B}):
                self.assertEqual(s.ask("GET", path, headers=headers).status, 200)
        self.assertEqual(s.transcribe(file=read(NOTE)).status, 401)
        self.assertEqual(s.transcribe(file=read(NOTE), headers=bearer(KEY_A)).status, 200)
        self.assertEqual(s.stop(), 0)
        self.assertNotIn("0123456789", s.text())  # no key in the log
        self.assertTrue(any("key=a" in line and "status=200" in line for line in s.text().splitlines()))

    def test_too_often_is_told_when_to_come_again(self):
        s = self.start(env={"AURICLE_API_KEYS": f"a:{KEY_A}:2"})
        self.assertEqual([s.ask("GET", "/stats", headers=bearer(KEY_A)).status
                          for _ in range(2)], [200, 200])
        answer = s.ask("GET", "/stats", headers=bearer(KEY_A))
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.json()["error"]["type"], "rate_limit_exceeded")
        self.assertTrue(1 <= int(answer.headers["retry-after"]) <= 30)

    def test_too_many_at_once(self):
        s = self.start(env={"AURICLE_API_KEYS": f"a:{KEY_A}:0:1"})
        first = s.connect()
        first.putrequest("POST", "/v1/audio/transcriptions")
        for name, value in (("Content-Type", "audio/wav"), ("Content-Length", "1000000"),
                            ("Authorization", "Bearer " + KEY_A)):
            first.putheader(name, value)
        first.endheaders()
        server.until(lambda: s.ask("GET", "/stats", headers=bearer(KEY_A)).status == 429)
        first.close()  # who goes away leaves the place
        server.until(lambda: s.ask("GET", "/stats", headers=bearer(KEY_A)).status == 200)

    def test_hangup_reads_the_keys_again(self):
        path = self.write_keys(f"a:{KEY_A}\n")
        s = self.start("--api-keys-file", path)
        self.write_keys(f"b:{KEY_B}\n")
        s.signal(signal.SIGHUP)
        s.wait_for("were read again")
        self.assertEqual(s.ask("GET", "/stats", headers=bearer(KEY_A)).status, 401)
        self.assertEqual(s.ask("GET", "/stats", headers=bearer(KEY_B)).status, 200)
        self.write_keys("b:short\n")
        s.signal(signal.SIGHUP)
        s.wait_for("stay as they were: .*keys:1")
        self.assertEqual(s.ask("GET", "/stats", headers=bearer(KEY_B)).status, 200)

    def test_hangup_reads_the_limits_again(self):
        config = self.path("conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("MAX_FILE_SIZE=1GB\n")
        s = self.start("--config", config)
        self.assertEqual(s.transcribe(file=read(NOTE)).status, 200)
        with open(config, "w", encoding="utf-8") as file:
            file.write("MAX_FILE_SIZE=1500\n")
        s.signal(signal.SIGHUP)
        s.wait_for("were read again")
        answer = s.transcribe(file=read(NOTE))
        self.assertEqual(answer.status, 413)
        self.assertIn("larger than 1.5 kB", answer.json()["error"]["message"])

    def test_hangup_reads_all_limits_that_are_settings(self):
        names = ("MAX_AUDIO_SECONDS=1", "LIVE_RESUME_SECONDS=7",
                 "WHISPER_MODEL_CACHE_SIZE=2", "DRAIN_TIMEOUT=1.5")
        config = self.write("conf", b"WHISPER_MODEL_CACHE_SIZE=1\n")
        s = self.start("--config", config, *Models.install(self, "base", "tiny"), "--pin", "base")
        tiny = [("model", "tiny")]
        self.assertEqual(s.transcribe(tiny, file=read(NOTE)).status, 503)
        self.write("conf", "\n".join(names).encode())
        s.signal(signal.SIGHUP)
        s.wait_for("were read again")
        self.assertEqual(s.transcribe(tiny, file=read(NOTE)).status, 413)  # over 1 s
        self.assertEqual([m["name"] for m in s.get("/health").json()["models"]], ["tiny", "base"])
        stream = self.listen(s, "encoding=linear16")
        self.assertEqual(self.opening["resume_seconds"], 7)
        stream.send('{"type": "CloseStream"}')
        self.assertEqual(self.to_the_end(stream)[1], 1000)
        server.until(lambda: s.get("/health").json()["active"] == 0)
        self.write("conf", b"WHISPER_MODEL_CACHE_SIZE=0\n")
        s.signal(signal.SIGHUP)
        s.wait_for("stay as they were")
        Ending.hold_up(self, s)
        s.signal(signal.SIGTERM)
        self.assertEqual(s.wait(), 1)
        self.assertIn("1.5 s for finishing are over", s.text())

    def test_more_live_sessions_are_heard_after_a_hangup(self):
        config = self.write("conf", b"MAX_LIVE=1\n")
        s = self.start("--config", config)
        self.write("conf", b"MAX_LIVE=3\n")
        s.signal(signal.SIGHUP)
        s.wait_for("were read again")
        streams = [self.listen(s, "encoding=auto") for _ in range(3)]
        for stream in reversed(streams):  # the first one keeps its decoder
            stream.send(read(NOTE))
            stream.send('{"type": "CloseStream"}')
            events, code = self.to_the_end(stream)
            self.assertEqual((events[-1]["type"], code), ("Metadata", 1000))
            self.assertGreater(events[-1]["duration"], 1)


@unittest.skipUnless(certificate.AVAILABLE, "openssl is absent")
class Certificates(Case):
    def setUp(self):
        super().setUp()
        self.files = certificate.make(self.folder)
        self.trust = ssl.create_default_context(cafile=self.files[0])

    def renew(self):
        """Another certificate in the same files; both are trusted from now on."""
        certificate.make(self.folder)
        self.trust.load_verify_locations(self.files[0])
        return ssl.PEM_cert_to_DER_cert(read(self.files[0]).decode())

    def shown(self, port, protocol="http/1.1"):
        """The certificate that a new connection gets."""
        self.trust.set_alpn_protocols([protocol])
        with socket.create_connection(("127.0.0.1", port), server.WAIT_SECONDS) as plain:
            with self.trust.wrap_socket(plain, server_hostname="localhost") as tls:
                return tls.getpeercert(binary_form=True)

    def serve(self, *options):
        return self.start("--tls-cert", self.files[0], "--tls-key", self.files[1], *options,
                          tls=self.trust)

    def test_hangup_reads_the_certificate_again_and_connections_go_on(self):
        s = self.serve()
        first = self.shown(s.port)
        idle, busy = s.connect(), s.connect()
        idle.request("GET", "/health")
        idle.getresponse().read()
        body, kind = server.form([("model", "whisper-1")], read(NOTE))
        busy.putrequest("POST", "/v1/audio/transcriptions")
        busy.putheader("Content-Type", kind)
        busy.putheader("Content-Length", str(len(body)))
        busy.endheaders()
        busy.send(body[:1000])
        second = self.renew()
        s.signal(signal.SIGHUP)
        s.wait_for("were read again: 0 keys, TLS")
        self.assertNotEqual(first, second)
        self.assertEqual(self.shown(s.port), second)
        socket_before = idle.sock
        idle.request("GET", "/health")
        self.assertEqual(idle.getresponse().status, 200)
        self.assertIs(idle.sock, socket_before)
        busy.send(body[1000:])
        self.assertEqual(busy.getresponse().status, 200)
        idle.close()
        busy.close()
        self.assertEqual(s.stop(), 0)

    def test_a_key_that_does_not_fit_changes_nothing(self):
        keys = self.write("keys", f"a:{KEY_A}\n".encode())
        os.chmod(keys, 0o600)
        s = self.serve("--api-keys-file", keys)
        first = self.shown(s.port)
        old_key = read(self.files[1])
        self.renew()
        self.write(self.files[1], old_key)
        self.write("keys", f"b:{KEY_B}\n".encode())
        s.signal(signal.SIGHUP)
        s.wait_for("stay as they were: TLS: .*certificate.pem")
        self.assertEqual(self.shown(s.port), first)
        self.assertEqual(s.ask("GET", "/stats", headers=bearer(KEY_A)).status, 200)
        self.assertEqual(s.ask("GET", "/stats", headers=bearer(KEY_B)).status, 401)

    def test_grpc_gets_the_new_one_too(self):
        port = server.free_port()
        s = self.serve("--grpc-port", str(port))
        if not s.wait_for(r"gRPC on|^try:").group(0).startswith("gRPC"):
            self.skipTest("built without gRPC")
        first = self.shown(port, "h2")
        second = self.renew()
        self.assertEqual(self.shown(port, "h2"), first)
        s.signal(signal.SIGHUP)
        s.wait_for("were read again: 0 keys, TLS")
        self.assertEqual(self.shown(port, "h2"), second)
        self.assertEqual(s.stop(), 0)


class Disk(Case):
    """A small recording may become a large one: 1.8 MB of WAV took 115 MB, and nobody counted."""

    def long(self, minutes):
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(1)
            file.setframerate(1000)
            file.writeframes(b"\x80" * (60000 * minutes))
        return out.getvalue()

    def test_what_recordings_become_is_bounded(self):
        s = self.start("--max-spool", "50MB")
        answer = s.transcribe(file=self.long(30))
        self.assertEqual(answer.status, 503, answer.text)
        self.assertIn("50 MB", answer.json()["error"]["message"])
        self.assertIn("retry-after", {name.lower() for name in answer.headers})
        server.until(lambda: s.get("/health").json()["spooled_bytes"] == 0)
        self.assertEqual(s.transcribe(file=self.long(5)).status, 200)

    def test_what_arrives_is_counted(self):
        s = self.start("--max-spool", "4MB")
        answer = s.transcribe(file=bytes(8_000_000))
        self.assertEqual(answer.status, 503, answer.text)
        server.until(lambda: s.get("/health").json()["spooled_bytes"] == 0)
        answer = s.transcribe(file=read(NOTE))
        self.assertEqual(answer.status, 200, answer.text)


class Watching(Case):
    def test_health_says_what_lives_here(self):
        s = self.start("--threads", "1")
        health = s.get("/health").json()
        self.assertEqual((health["status"], health["threads"]), ("ok", 1))
        self.assertRegex(health["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual([m["name"] for m in health["models"]], ["nano"])
        self.assertEqual(health["voice_activity"], "vad")  # the bundled one is not Silero's own
        self.assertIn("voice activity by the model vad", "\n".join(line for line in s.lines if line))
        self.assertGreater(health["memory"]["rss_bytes"], 1e6)
        self.assertEqual(s.get("/ready").json(), {"ready": True})
        self.assertEqual(s.get("/sessions").json(), {"sessions": []})

    def test_a_long_name_of_a_request_is_kept(self):
        s = self.start("--log-level", "debug")
        name = "x" * 63 + "y"
        self.assertEqual(s.transcribe(file=read(NOTE), headers={"X-Request-Id": name}).status, 200)
        stream = self.listen(s, "encoding=auto", headers=[f"X-Request-Id: {name}"])
        self.assertEqual({e["id"] for e in s.get("/sessions").json()["sessions"]}, {name})
        stream.close()
        self.assertEqual(s.stop(), 0)
        self.assertIn(f"request {name}: OK; received", s.text())

    def test_headers_come_once(self):
        s = self.start("--cors-origin", "*")
        for path in ("/", "/health", "/nothing"):
            headers = s.ask("GET", path, headers={"Origin": "https://app.example"}).headers
            self.assertEqual(len(headers.keys()), len(set(headers.keys())), headers)
            for name in ("retry-after", "retry-after-ms", "x-request-id", "server-timing"):
                self.assertIn(name, headers["Access-Control-Expose-Headers"].split(", "))

    def test_health_answers_while_others_work(self):
        s = self.start()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(s.transcribe) for _ in range(4)]
            slowest = 0
            while not all(r.done() for r in running):
                begin = time.monotonic()
                self.assertEqual(s.get("/health").status, 200)
                slowest = max(slowest, time.monotonic() - begin)
                time.sleep(0.01)
            self.assertEqual([r.result().status for r in running], [200] * 4)
        self.assertLess(slowest, 2)

    def test_metrics_count_what_happened(self):
        s = self.start()
        self.assertEqual(s.transcribe(file=read(NOTE)).status, 200)
        self.assertEqual(s.transcribe(file=read(NOTE), path="/inference").status, 200)
        text = s.get("/metrics")
        self.assertTrue(text.headers["content-type"].startswith("text/plain; version=0.0.4"))
        values = dict(re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text.body.decode(), re.M))
        self.assertEqual(values["auricle_requests_total{protocol=\"rest\"}"], "2")
        self.assertGreater(float(values["auricle_audio_seconds_total"]), 10)
        self.assertEqual(values["auricle_stage_seconds_count{stage=\"total\"}"], "2")
        server.until(lambda: b"\nauricle_sessions 0\n" in s.get("/metrics").body)
        self.assertEqual(s.get("/stats").json()["total"]["count"], 2)

    def test_the_documentation_names_every_metric(self):
        told = re.findall(r"^# TYPE (\S+)", self.start().get("/metrics").text(), re.M)
        with open(os.path.join(cli.SOURCE, "docs", "SERVER.md"), encoding="utf-8") as file:
            named = re.findall(r"`((?:auricle|process)_\w+)(?:\{[^}]*\})?`", file.read())
        self.assertEqual(sorted(named), sorted(told))

    def counts(self, s, name):
        """The values of a metric that has labels, by these."""
        return {tuple(re.findall(r'="([^"]*)"', labels)): int(value) for labels, value in re.findall(
            rf"^{name}{{([^}}]*)}} (\S+)$", s.get("/metrics").text(), re.M)}

    def test_metrics_count_what_failed_by_protocol(self):
        s = self.start("--max-live", "1")
        noise = b"this is no recording" * 500
        for fields in ([], [], [("stream", "true")]):
            self.assertEqual(s.transcribe(fields, file=noise).status, 400)
        self.assertEqual(s.transcribe([("stream", "true"), ("model", "none")]).status, 404)
        self.assertEqual(s.transcribe([("stream", "true"), ("best_of", "x")]).status, 400)
        stream = self.listen(s, "encoding=linear16")
        self.assertEqual(s.ask("GET", "/v1/stream?encoding=linear16", headers=UPGRADE).status, 429)
        stream.send(b"odd")
        self.assertEqual(self.to_the_end(stream)[1], 1007)
        self.assertEqual(self.counts(s, "auricle_requests_total"),
                         {("rest",): 2, ("sse",): 1, ("websocket",): 1, ("grpc",): 0})
        self.assertEqual(self.counts(s, "auricle_errors_total"),
                         {("rest", "FORMAT"): 2, ("sse", "FORMAT"): 1, ("sse", "NOT_FOUND"): 1,
                          ("sse", "INVALID"): 1, ("websocket", "LIMIT"): 1,
                          ("websocket", "FORMAT"): 1})

    def test_the_log_may_be_json(self):
        s = self.start("--log-format", "json", "--log-level", "info",
                       env={"MAX_CONCURRENT_JOBS": "3"})
        self.assertEqual(s.ask("GET", "/stats", headers={"X-Request-Id": "mine-1"}).status, 200)
        s.signal(signal.SIGHUP)
        s.wait_for("were read again")
        self.assertEqual(s.stop(), 0)
        entries = [json.loads(line) for line in s.text().splitlines()]  # each line is one
        messages = " ".join(entry["message"] for entry in entries)
        for words in ("voice activity", "listening on", "try: curl", "MAX_CONCURRENT_JOBS",
                      "were read again", "finishing", "everything is finished"):
            self.assertIn(words, messages)
        mine = [e for e in entries if e.get("request_id") == "mine-1"]
        self.assertEqual(len(mine), 1)
        self.assertEqual((mine[0]["path"], mine[0]["status"], mine[0]["level"]),
                         ("/stats", 200, "INFO"))
        self.assertIsInstance(mine[0]["status"], int)
        self.assertIsInstance(mine[0]["ms"], int)

    def test_each_request_has_a_line(self):
        asked = ("/health", "/nothing", "/v1/models", "/v1/models/none", "/%ff")
        s = self.start("--log-level", "debug", env={"AURICLE_API_KEYS": f"a:{KEY_A}"})
        for path in asked:
            s.ask("GET", path, headers=bearer(KEY_A))
        s.get("/stats")
        self.assertEqual(s.stop(), 0)
        lines = re.findall(r" (DEBUG|INFO|WARN) (?:request over|refused: .*?) request_id=.* "
                           r"path=(\S*) .*?status=(\d+)", s.text())
        self.assertEqual(lines, [("DEBUG", "/health", "200"), ("INFO", "/nothing", "404"),
                                 ("INFO", "/v1/models", "200"), ("INFO", "/v1/models/none", "404"),
                                 ("INFO", "\"\"", "400"), ("WARN", "/stats", "401")])

    def test_no_terminal_obeys_what_the_log_repeats(self):
        s = self.start()
        s.get("/v1/models/x%C2%9B31m%E2%80%AEend")
        self.assertEqual(s.stop(), 0)
        self.assertIn(r"/v1/models/x\xc2\x9b31m\xe2\x80\xaeend", s.text())

    def test_times_of_stages_are_logged_where_wanted(self):
        s = self.start(env={"LOG_PERFORMANCE_METRICS": "True"})
        self.assertEqual(s.transcribe(file=read(NOTE)).status, 200)
        self.assertEqual(s.stop(), 0)
        stages = re.findall(r"stage (\w+) count=1 p50_ms=\S+ p95_ms=\S+ p99_ms=\S+$",
                            s.text(), re.M)
        self.assertIn("encoder", stages)
        self.assertIn("total", stages)


class Ending(Case):
    def test_what_runs_is_finished_and_the_new_is_refused(self):
        s = self.start()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            running = [pool.submit(s.transcribe) for _ in range(2)]
            server.until(lambda: s.get("/health").json()["active"] == 2)
            s.signal(signal.SIGTERM)
            s.wait_for("finishing")
            try:
                server.until(lambda: s.get("/health").json()["status"] == "draining")
                self.assertEqual(s.get("/ready").status, 503)
                refused = s.transcribe(file=read(NOTE))
                self.assertIn(refused.status, (429, 503))
                self.assertIn("retry-after", refused.headers)
            except ConnectionError:  # it was faster than we were
                pass
            self.assertEqual([r.result().status for r in running], [200, 200])
        self.assertEqual(s.wait(), 0)

    def hold_up(self, s):
        """A body that never comes holds the drain up."""
        idle = s.connect()
        self.addCleanup(idle.close)
        idle.putrequest("POST", "/v1/audio/transcriptions")
        idle.putheader("Content-Type", "audio/wav")
        idle.putheader("Content-Length", "1000000")
        idle.endheaders()
        server.until(lambda: s.get("/health").json()["active"] == 1)

    def test_no_live_session_is_opened_any_more(self):
        s = self.start()
        self.hold_up(s)
        s.signal(signal.SIGTERM)
        server.until(lambda: s.get("/health").json()["status"] == "draining")
        answer = s.ask("GET", "/v1/stream?encoding=auto", headers=UPGRADE)
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "unavailable"))
        self.assertIn("retry-after", answer.headers)

    def test_what_is_not_finished_in_time_is_named(self):
        s = self.start("--drain-timeout", "0", "--threads", "1")
        with wave.open(NOTE) as file:
            rate, samples = file.getframerate(), file.readframes(file.getnframes())
        long = io.BytesIO()
        with wave.open(long, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", None))
            file.writeframes(samples * 60)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(s.transcribe, file=long.getvalue(),
                                  headers={"X-Request-Id": "mine-7"})
            server.until(lambda: any(entry["state"] == "running" for entry
                                     in s.get("/sessions").json()["sessions"]))
            s.signal(signal.SIGTERM)
            self.assertEqual(s.wait(), 1)
            self.assertRegex(s.text(), r"left unfinished: mine-7 \(running, \d+ s of audio heard\)")
            with self.assertRaises((ConnectionError, http.client.HTTPException)):
                running.result()

    def test_the_time_for_finishing_is_a_setting(self):
        for how in ({"env": {"DRAIN_TIMEOUT": "1.5"}}, {}):
            s = self.start(*([] if how else ["--drain-timeout", "1.5"]), **how)
            self.hold_up(s)
            began = time.monotonic()
            s.signal(signal.SIGTERM)
            self.assertEqual(s.wait(), 1)
            self.assertGreaterEqual(time.monotonic() - began, 1.5)
            self.assertIn("1.5 s for finishing are over: 1 request not done, 1 answer not out",
                          s.text())

    def test_what_is_finished_in_time_is_not_cut(self):
        s = self.start("--drain-timeout", "60")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(s.transcribe)
            server.until(lambda: s.get("/health").json()["active"] == 1)
            s.signal(signal.SIGTERM)
            self.assertEqual(running.result().status, 200)
        self.assertEqual(s.wait(), 0)
        self.assertNotIn("left unfinished", s.text())

    def test_a_second_signal_ends_at_once(self):
        s = self.start("--drain-timeout", "never")
        self.hold_up(s)
        s.signal(signal.SIGINT)
        s.wait_for("ctrl-C again ends at once")
        s.signal(signal.SIGINT)
        self.assertEqual(s.wait(), 130)


if __name__ == "__main__":
    unittest.main(verbosity=2)
