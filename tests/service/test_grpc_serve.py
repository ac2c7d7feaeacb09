"""auricle serve over gRPC, with the model that comes with the program and real recordings."""

import os
import re
import signal
import socket
import time
import unittest
import wave

from grpc_client import WAIT, Client, Feeder, cli, grpc, message, v1
from server import NOTE, Server, free_port, read, until

Code = grpc.StatusCode
DEMO = os.path.join(cli.SOURCE, "demo")
GREEDY = {"temperatures": [0], "beam_size": 1, "language": "en"}
GREEDY_OPTIONS = ("--temperature", "0", "--beam-size", "1", "--language", "en")
KEY = "a-key-of-some-length"


class Serve(Server):
    """The program, serving gRPC."""

    def __init__(self, *options, grpc=True):
        self.grpc_port = free_port() if grpc else 0
        super().__init__("--vad-model", os.path.join(cli.SOURCE, "models", "vad"), "--grpc-port",
                         str(self.grpc_port), *options, env={"LOG_LEVEL": "info"})
        self.wait_for(r"^try: ")


def refused(case, code, call, *words):
    """The call fails with a code and words in its sentence."""
    with case.assertRaises(grpc.RpcError) as caught:
        call()
    case.assertEqual(caught.exception.code(), code, caught.exception.details())
    for word in words:
        case.assertIn(word, caught.exception.details())


class Case(unittest.TestCase):
    args = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Serve(*cls.args)
        cls.client = Client(cls.server.grpc_port)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.stop() == 0, cls.server.text()

    def transcribe(self, audio, name="Transcribe", more=None, **config):
        request = v1("TranscribeRequest", audio=audio, config=v1("RecognitionConfig", **config))
        return self.client.call(name, request, **(more or {}))

    def refused(self, *expected):
        refused(self, *expected)


class Real(Case):
    def test_text_is_that_of_the_command_line(self):
        for name, words in (("note.wav", False), ("note.wav", True)):
            path = os.path.join(DEMO, name)
            done = cli.run("transcribe", path, "--model", os.path.join(cli.SOURCE, "models", "nano"),
                           "--vad-model", os.path.join(cli.SOURCE, "models", "vad"), "--quiet",
                           *GREEDY_OPTIONS, *(("--word-timestamps",) if words else ()))
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = self.transcribe(read(path), word_times=words, **GREEDY)
            self.assertEqual([s.text.strip() for s in answer.segments],
                             done.stdout.decode().splitlines())
            self.assertTrue(answer.text.strip())
            self.assertEqual((answer.model, answer.language), ("nano", "en"))
            self.assertEqual(all(len(s.words) > 0 for s in answer.segments), words)
            self.assertGreater(answer.timings.total, 0)

    def test_stream_gives_the_same_segments(self):
        audio = read(os.path.join(DEMO, "talk.flac"))
        whole = self.transcribe(audio, **GREEDY)
        events = list(self.transcribe(audio, "TranscribeStream", **GREEDY))
        self.assertEqual([e.segment for e in events if e.HasField("segment")], list(whole.segments))
        summary = events[-1].summary
        self.assertEqual((summary.text, len(summary.segments)), (whole.text, 0))
        self.assertEqual(summary.media.container, whole.media.container)

    def test_live_in_pieces_of_100_ms(self):
        with wave.open(NOTE) as recording:
            rate, seconds = recording.getframerate(), recording.getnframes() / recording.getframerate()
            pcm = recording.readframes(recording.getnframes())
        raw = v1("RawAudio", encoding=1, rate_hz=rate)
        feeder = Feeder(v1("ListenRequest", config=v1("ListenConfig", recognition=v1(
            "RecognitionConfig", raw=raw, **GREEDY))))
        step = rate // 10 * 2
        for at in range(0, len(pcm), step):
            feeder.put(v1("ListenRequest", audio=pcm[at:at + step]))
        feeder.put(v1("ListenRequest", close=v1("Close")))
        feeder.end()
        events = list(self.client.call("Listen", iter(feeder)))
        kinds = [event.WhichOneof("event") for event in events]
        self.assertEqual((kinds[0], kinds[-1]), ("opened", "closed"))
        self.assertIn("speech_started", kinds)
        finals = [event.final for event in events if event.HasField("final")]
        self.assertTrue("".join(final.segment.text for final in finals).strip())
        self.assertAlmostEqual(events[-1].closed.audio_seconds, seconds, delta=0.05)

    def test_live_from_a_container(self):
        feeder = Feeder(v1("ListenRequest", config=v1("ListenConfig", recognition=v1(
            "RecognitionConfig", **GREEDY))))
        data = read(os.path.join(DEMO, "talk.opus"))
        for at in range(0, len(data), 4000):
            feeder.put(v1("ListenRequest", audio=data[at:at + 4000]))
        feeder.end()
        events = list(self.client.call("Listen", iter(feeder)))
        self.assertTrue("".join(e.final.segment.text for e in events if e.HasField("final")).strip())
        self.assertGreater(events[-1].closed.audio_seconds, 20)

    def test_lost_connection_is_resumed(self):
        data = read(os.path.join(DEMO, "talk.opus"))
        half = len(data) // 2
        feeder = Feeder(v1("ListenRequest", config=v1("ListenConfig", resume_seconds=60, recognition=v1(
            "RecognitionConfig", **GREEDY))), v1("ListenRequest", audio=data[:half]))
        lost = Client(self.server.grpc_port)
        call = lost.call("Listen", iter(feeder))
        session = next(call).opened.session_id
        self.assertEqual(next(call).WhichOneof("event"), "speech_started")
        lost.close()
        feeder.end()
        events, end = [], time.monotonic() + WAIT
        while not events and time.monotonic() < end:
            feeder = Feeder(v1("ListenRequest", config=v1("ListenConfig", resume_session_id=session)),
                            v1("ListenRequest", audio=data[half:]))
            feeder.end()
            try:
                events = list(self.client.call("Listen", iter(feeder)))
            except grpc.RpcError as error:  # until the server has seen the loss
                self.assertIn("has a connection", error.details())
        self.assertEqual(events[0].opened.session_id, session)
        self.assertTrue("".join(e.final.segment.text for e in events if e.HasField("final")).strip())
        self.assertGreater(events[-1].closed.audio_seconds, 20)

    def test_errors(self):
        self.refused(Code.INVALID_ARGUMENT, lambda: self.transcribe(b"\0" * 5000), "recording")
        self.refused(Code.NOT_FOUND, lambda: self.transcribe(b"x", model="nobody"), "nobody")
        self.refused(Code.INVALID_ARGUMENT, lambda: self.transcribe(read(NOTE), language="zz"), "zz")
        self.refused(Code.INVALID_ARGUMENT, lambda: self.transcribe(read(NOTE), beam_size=99), "99")

    def test_models(self):
        models = self.client.call("ListModels", v1("ListModelsRequest")).models
        self.assertEqual([(m.name, m.loaded) for m in models if m.is_default], [("nano", True)])

    def test_cancelled_work_is_given_up(self):
        raw = v1("RawAudio")
        audio = os.urandom(16000 * 2 * 300)
        call = self.transcribe(audio, "TranscribeStream", raw=raw, profile=3)
        self.assertEqual(next(call).WhichOneof("event"), "started")
        call.cancel()
        until(lambda: '"id"' not in self.server.get("/sessions").text())
        self.assertTrue(self.transcribe(read(NOTE), **GREEDY).text)

    def test_many_at_once(self):
        audio = read(os.path.join(cli.fixture("audio/clip_50ms.wav")))
        request = v1("TranscribeRequest", audio=audio, config=v1("RecognitionConfig", **GREEDY))
        alone = self.client.call("Transcribe", request)
        calls = [self.client.method("Transcribe").future(request, timeout=2 * WAIT)
                 for _ in range(100)]
        self.assertEqual({call.result().text for call in calls}, {alone.text})
        self.assertRegex(self.server.get("/metrics").text(), r'(?m)^\w+requests\w*\{[^}]*grpc[^}]*\} \d{3}')


class Keys(unittest.TestCase):
    def test_keys(self):
        import tempfile
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
            file.write(f"me:{KEY}\n")
            file.flush()
            server = Serve("--api-keys-file", file.name)
        self.addCleanup(server.close)
        client = Client(server.grpc_port)
        refused(self, Code.UNAUTHENTICATED,
                lambda: client.call("ListModels", v1("ListModelsRequest")))
        self.assertTrue(client.call("ListModels", v1("ListModelsRequest"),
                                    metadata=[("authorization", "Bearer " + KEY)]).models)
        client.close()
        self.assertEqual(server.stop(), 0, server.text())


class Lives(unittest.TestCase):
    def test_drain_is_told_to_who_watches(self):
        server = Serve()
        self.addCleanup(server.close)
        client = Client(server.grpc_port)
        watch = client.call("Watch", message("grpc.health.v1.HealthCheckRequest")(),
                            "grpc.health.v1.Health")
        self.assertEqual(next(watch).status, 1)
        server.signal(signal.SIGTERM)
        self.assertEqual(next(watch).status, 2)
        self.assertEqual(server.wait(), 0, server.text())
        client.close()

    def test_an_answer_is_taken_before_the_server_ends(self):
        server = Serve()
        self.addCleanup(server.close)
        narrow = [("grpc.http2.lookahead_bytes", 5), ("grpc.http2.bdp_probe", 0)]
        client = Client(server.grpc_port, options=narrow)
        audio = read(os.path.join(DEMO, "talk.flac"))
        events = client.call("TranscribeStream", v1("TranscribeRequest", audio=audio, config=v1(
            "RecognitionConfig", word_times=True, **GREEDY)))
        kinds = [next(events).WhichOneof("event")]
        until(lambda: server.get("/health").json()["active"] == 0)
        server.signal(signal.SIGTERM)
        server.wait_for("finishing")
        for _ in range(10):  # longer than it waits where nobody takes anything
            self.assertEqual(server.get("/health").status, 200)
            time.sleep(0.05)
        kinds += [event.WhichOneof("event") for event in events]
        self.assertEqual((kinds[0], kinds[-1]), ("started", "summary"))
        self.assertEqual(server.wait(), 0, server.text())
        client.close()

    def test_without_grpc_nothing_of_it_is_loaded(self):
        sizes = {}
        for on in (False, True):
            server = Serve(grpc=on)
            self.addCleanup(server.close)
            with open(f"/proc/{server.process.pid}/maps", encoding="ascii") as file:
                self.assertEqual("libgrpc" in file.read(), on)
            with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
                sizes[on] = int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
            self.assertEqual(server.stop(), 0, server.text())
        print(f"resident: {sizes[False]} kB without gRPC, {sizes[True]} kB with it")

    def test_port_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            done = cli.run("serve", "--model", os.path.join(cli.SOURCE, "models", "nano"), "--port",
                           "0", "--grpc-port", port)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(port, done.stderr)
        self.assertIn("in use", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=1)
