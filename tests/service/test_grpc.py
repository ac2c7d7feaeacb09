"""The gRPC front with grpcio's client: every method, every way to misuse it."""

import itertools
import operator
import os
import socket
import subprocess
import time
import unittest

import certificate
from grpc_client import FAKE, FILES, MODULE, WAIT, Client, Fake, Feeder, cli, grpc, message, v1

Code = grpc.StatusCode
HEALTH = "grpc.health.v1.Health"
SERVICES = ["auricle.v1.Auricle", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection"]


with open(MODULE, "rb") as _file:
    SANITIZED = b"__asan_" in _file.read()


def described(data):
    """What grpc_fake says of the bytes that arrived."""
    total = sum(map(operator.mul, data, itertools.cycle([*range(2, 252), 1])))
    return f"{len(data)} bytes, sum {total}"


class Case(unittest.TestCase):
    args = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Fake(*cls.args)
        cls.client = Client(cls.server.port)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.stop() == 0

    def refused(self, code, call, *words):
        """The call fails with a code and words in its sentence; returns its trailing metadata."""
        with self.assertRaises(grpc.RpcError) as caught:
            answer = call()
            if not hasattr(answer, "DESCRIPTOR"):
                list(answer)
        error = caught.exception
        self.assertEqual(error.code(), code, error.details())
        for word in words:
            self.assertIn(word, error.details())
        return dict(error.trailing_metadata())

    def transcribe(self, audio=b"abc", client=None, name="Transcribe", more=None, **config):
        request = v1("TranscribeRequest", audio=audio, config=v1("RecognitionConfig", **config))
        return (client or self.client).call(name, request, **(more or {}))


class Health(Case):
    def check(self, service=""):
        request = message(HEALTH[:-6] + "HealthCheckRequest")(service=service)
        return self.client.call("Check", request, HEALTH).status

    def test_check(self):
        for service in ["", *SERVICES]:
            self.assertEqual(self.check(service), 1, service)

    def test_check_of_an_unknown_service(self):
        self.refused(Code.NOT_FOUND, lambda: self.client.call(
            "Check", message("grpc.health.v1.HealthCheckRequest")(service="nobody"), HEALTH), "nobody")

    def test_list(self):
        answer = self.client.call("List", message("grpc.health.v1.HealthListRequest")(), HEALTH)
        self.assertEqual(sorted(answer.statuses), sorted(["", *SERVICES]))
        self.assertEqual({one.status for one in answer.statuses.values()}, {1})

    def test_watch_of_an_unknown_service_waits(self):
        watch = self.client.call("Watch", message("grpc.health.v1.HealthCheckRequest")(service="x"),
                                 HEALTH)
        self.assertEqual(next(watch).status, 3)
        watch.cancel()


class Draining(Case):
    def test_drain_and_stop(self):
        ask = message("grpc.health.v1.HealthCheckRequest")()
        watch = self.client.call("Watch", ask, HEALTH)
        self.assertEqual(next(watch).status, 1)
        waiting = self.client.method("Transcribe").future(
            v1("TranscribeRequest", audio=b"x", config=v1("RecognitionConfig", model="wait")),
            timeout=WAIT)
        self.server.expect("running")
        self.server.do("drain")
        self.assertEqual(next(watch).status, 2)
        self.assertEqual(self.client.call("Check", ask, HEALTH).status, 2)
        self.refused(Code.UNAVAILABLE, self.transcribe, "stopping")
        self.refused(Code.UNAVAILABLE, lambda: self.client.call("Listen", iter(())), "stopping")
        self.assertFalse(waiting.done())  # what runs goes on
        self.server.do("stop")
        self.server.expect("cancelled")
        self.server.expect("stopped")
        self.assertIn(waiting.exception(timeout=WAIT).code(), (Code.UNAVAILABLE, Code.CANCELLED))

    def test_stuck(self):
        server = Fake()
        client = Client(server.port)
        ask = message("grpc.health.v1.HealthCheckRequest")()
        watch = client.call("Watch", ask, HEALTH)
        self.assertEqual(next(watch).status, 1)
        server.do("stuck")
        self.assertEqual(next(watch).status, 2)
        client.close()
        self.assertEqual(server.stop(), 0)


class Reflection(Case):
    def ask(self, version, *requests):
        package = f"grpc.reflection.{version}."
        request = message(package + "ServerReflectionRequest")
        return list(self.client.call("ServerReflectionInfo",
                                     iter([request(**fields) for fields in requests]),
                                     package + "ServerReflection"))

    def test_both_versions(self):
        for version in ("v1", "v1alpha"):
            with self.subTest(version):
                services, by_name, by_symbol, by_method, unknown, extension, nothing = self.ask(
                    version, {"list_services": "", "host": "h"},
                    {"file_by_filename": "auricle/v1/auricle.proto"},
                    {"file_containing_symbol": "grpc.health.v1.HealthCheckResponse.ServingStatus"},
                    {"file_containing_symbol": "auricle.v1.Auricle.Listen"},
                    {"file_containing_symbol": "auricle.v1.Nothing"},
                    {"all_extension_numbers_of_type": "auricle.v1.Word"}, {})
                self.assertEqual([s.name for s in services.list_services_response.service], SERVICES)
                self.assertEqual(services.valid_host, "h")
                files = {file.name: file.SerializeToString() for file in FILES.file}
                self.assertEqual(by_name.file_descriptor_response.file_descriptor_proto,
                                 [files["auricle/v1/auricle.proto"]])
                self.assertEqual(by_symbol.file_descriptor_response.file_descriptor_proto,
                                 [files["grpc/health/v1/health.proto"]])
                self.assertEqual(by_method.original_request.file_containing_symbol,
                                 "auricle.v1.Auricle.Listen")
                self.assertEqual(len(by_method.file_descriptor_response.file_descriptor_proto), 1)
                self.assertEqual(unknown.error_response.error_code, 5)
                self.assertEqual(extension.error_response.error_code, 5)
                self.assertEqual(nothing.error_response.error_code, 3)

    def test_many_in_one_stream(self):
        answers = self.ask("v1", *[{"file_by_filename": "auricle/v1/auricle.proto"}] * 300)
        self.assertEqual(len(answers), 300)

    def test_every_symbol_of_every_file(self):
        symbols = []
        for file in FILES.file:
            for kind in (file.message_type, file.enum_type, file.service):
                symbols += [f"{file.package}.{one.name}" for one in kind]
        answers = self.ask("v1", *[{"file_containing_symbol": symbol} for symbol in symbols])
        self.assertEqual([a.WhichOneof("message_response") for a in answers],
                         ["file_descriptor_response"] * len(symbols))


class Transcribe(Case):
    def test_answer(self):
        answer = self.transcribe(b"abc")
        self.assertEqual(answer.text, described(b"abc"))
        self.assertEqual((answer.language, answer.language_probability), ("en", 0.75))
        self.assertEqual((answer.duration_seconds, answer.model), (2.5, "echo"))
        segment, = answer.segments
        self.assertEqual((segment.start, segment.end, segment.text), (1, 2, " a segment"))
        self.assertEqual([(w.text, w.start, w.probability) for w in segment.words],
                         [(" a", 1, 0.5), (" segment", 1.5, 0)])
        self.assertEqual([one.filtered_by for one in answer.filtered], ["phrase"])
        self.assertEqual((answer.media.container, answer.media.rate_hz), ("WAV", 16000))

    def test_audio_arrives_whole(self):
        data = bytes(range(256)) * 20000  # 5 MB: many pieces, more than one step of copying
        self.assertEqual(self.transcribe(data).text, described(data))

    def test_stream(self):
        events = list(self.transcribe(name="TranscribeStream", model="many:5"))
        kinds = [event.WhichOneof("event") for event in events]
        self.assertEqual((kinds[0], kinds[-1]), ("started", "summary"))
        self.assertEqual(kinds.count("segment"), 5)
        summary = events[-1].summary
        self.assertEqual(summary.text, described(b"abc"))
        self.assertEqual((len(summary.segments), len(summary.filtered)), (0, 1))

    def test_stream_tells_before_the_end(self):
        call = self.transcribe(name="TranscribeStream", model="wait")
        kinds = [next(call).WhichOneof("event") for _ in range(3)]
        self.assertEqual(kinds, ["started", "segment", "progress"])
        call.cancel()

    def test_models(self):
        answer = self.client.call("ListModels", v1("ListModelsRequest"))
        self.assertEqual([(m.name, m.is_default, m.bytes) for m in answer.models],
                         [("echo", True, 0), ("wait", False, 3 << 32)])

    def test_request_id(self):
        for given, kept in (("mine-7", True), ("not fit", False), ("x" * 65, False)):
            _, call = self.client.method("Transcribe").with_call(
                v1("TranscribeRequest", audio=b"abc"), metadata=[("x-request-id", given)])
            told = dict(call.initial_metadata())["x-request-id"]
            self.assertEqual(told == given, kept, told)
            self.assertTrue(told)

    def test_errors_of_the_service(self):
        for error, code in (("FORMAT", Code.INVALID_ARGUMENT), ("NO_AUDIO", Code.INVALID_ARGUMENT),
                            ("LIMIT", Code.RESOURCE_EXHAUSTED), ("TIMEOUT", Code.DEADLINE_EXCEEDED),
                            ("SHAPE", Code.INTERNAL), ("NOMEM", Code.RESOURCE_EXHAUSTED)):
            for name in ("Transcribe", "TranscribeStream"):
                trailing = self.refused(
                    code, lambda: self.transcribe(name=name, model="fail:" + error), "ä sentence")
                self.assertEqual(trailing["auricle-error"], error)
        self.refused(Code.NOT_FOUND, lambda: self.transcribe(model="none"), "there is echo")

    def test_settings_that_are_wrong(self):
        for fields, word in ((dict(profile=9), "profile 9"), (dict(task=7), "task 7"),
                             (dict(temperatures=[0] * 9), "9 temperatures"),
                             (dict(raw=v1("RawAudio", encoding=77)), "encoding 77"),
                             (dict(raw=v1("RawAudio", rate_hz=-5)), "-5 Hz"),
                             (dict(raw=v1("RawAudio", channels=65)), "65 channels"),
                             (dict(hotwords=["w"] * 1001), "1001 hotwords"),
                             (dict(prompt="x" * 70000), "65536 bytes")):
            self.refused(Code.INVALID_ARGUMENT, lambda: self.transcribe(**fields), word)

    def test_no_audio(self):
        self.refused(Code.INVALID_ARGUMENT, lambda: self.transcribe(b""), "holds no audio")
        self.refused(Code.INVALID_ARGUMENT,
                     lambda: self.client.raw("/auricle.v1.Auricle/Transcribe", b""), "no audio")

    def test_unknown_methods(self):
        for path in ("/auricle.v1.Auricle/Nothing", "/nobody/Nothing", "/x"):
            self.refused(Code.UNIMPLEMENTED, lambda: self.client.raw(path, b""), path)

    def test_100_at_once(self):
        calls = [self.client.method("Transcribe").future(
            v1("TranscribeRequest", audio=b"%d" % i), timeout=WAIT) for i in range(100)]
        self.assertEqual([call.result().text for call in calls],
                         [described(b"%d" % i) for i in range(100)])


class BadBytes(Case):
    def garbage(self, data, *words):
        self.refused(Code.INVALID_ARGUMENT,
                     lambda: self.client.raw("/auricle.v1.Auricle/Transcribe", data), *words)

    def test_garbage(self):
        for data in (b"\xff", b"\xff" * 100, b"\x00\x00", b"\x0b\x0c", b"\x12\xff\xff\xff\xff\x0f",
                     b"\x12\x05abc", b"\x08", b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
                     b"\x0a\x02\x0a\x09", b"\x0d\x01"):
            self.garbage(data + b"")
        self.assertTrue(self.transcribe().text)

    def test_strings_that_are_not_text(self):
        audio = b"\x12\x01a"
        self.garbage(b"\x0a\x04\x12\x02\xc3\x28" + audio, "language", "UTF-8")
        self.garbage(b"\x0a\x05\x0a\x03a\x00b" + audio, "model", "UTF-8")
        self.garbage(b"\x1a\x02\xff\xfe" + audio, "name", "UTF-8")

    def test_unknown_fields_are_left_alone(self):
        data = b"\x12\x01a" + b"\xf8\x3f\x05" + b"\xfa\x3f\x03xyz" + b"\xfd\x3f1234"
        answer = message("auricle.v1.TranscribeResponse").FromString(
            self.client.raw("/auricle.v1.Auricle/Transcribe", data))
        self.assertEqual(answer.text, described(b"a"))

    def test_last_of_two_audio_fields_counts(self):
        data = b"\x12\x03abc\x0a\x00\x12\x02de"
        answer = message("auricle.v1.TranscribeResponse").FromString(
            self.client.raw("/auricle.v1.Auricle/Transcribe", data))
        self.assertEqual(answer.text, described(b"de"))

    def test_garbage_on_every_method(self):
        for service, names in (("auricle.v1.Auricle", ("TranscribeStream", "ListModels", "Listen")),
                               (HEALTH, ("Check", "Watch")), (SERVICES[2], ("ServerReflectionInfo",)),
                               (SERVICES[3], ("ServerReflectionInfo",))):
            for name in names:
                call = self.client.channel.unary_stream(f"/{service}/{name}")
                self.refused(Code.INVALID_ARGUMENT, lambda: call(b"\xff\xff", timeout=WAIT))

    def test_compressed_messages_are_refused(self):
        client = Client(self.server.port)
        self.refused(Code.UNIMPLEMENTED, lambda: self.transcribe(
            bytes(1000000), client, more={"compression": grpc.Compression.Gzip}))
        client.close()

    def test_bytes_that_are_not_http2(self):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(4096), b"\x16\x03\x01" * 50,
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64):
            with socket.create_connection(("127.0.0.1", self.server.port), WAIT) as sock:
                sock.sendall(data)
                try:
                    while sock.recv(4096):
                        pass
                except ConnectionError:
                    pass
        self.assertTrue(self.transcribe().text)

    def test_half_a_message_and_gone(self):
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        with socket.create_connection(("127.0.0.1", self.server.port), WAIT) as sock:
            sock.sendall(preface)
            sock.recv(9)
        self.assertTrue(self.transcribe().text)


class Limits(Case):
    args = ("--message", "1000000", "--upload", "999500")

    def test_recording_over_the_servers_limit(self):
        self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.transcribe(bytes(999501)), "999500")

    def test_message_over_the_limit(self):
        for name in ("Transcribe", "TranscribeStream"):
            self.assertTrue(self.transcribe(bytes(999000), name=name))
            self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.transcribe(bytes(1000001), name=name),
                         "larger than max")
        request = v1("ListenRequest", audio=bytes(1000001))
        self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.client.call("Listen", iter([request])),
                     "larger than max")

    def test_recording_that_the_disk_has_no_room_for(self):
        server = Fake()
        client = Client(server.port)
        request = v1("TranscribeRequest", audio=bytes(50_000_000))
        trailing = self.refused(Code.UNAVAILABLE, lambda: client.call("Transcribe", request), "room")
        self.assertIn("retry-after-ms", trailing)
        client.close()
        self.assertEqual(server.stop(), 0)

    def test_answer_over_the_limit(self):
        self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.transcribe(model="many:50000"),
                     "larger than max")


class Giving_up(Case):
    def test_cancel_reaches_the_service(self):
        for name in ("Transcribe", "TranscribeStream"):
            client = Client(self.server.port)
            request = v1("TranscribeRequest", audio=b"x", config=v1("RecognitionConfig", model="wait"))
            method = client.method(name)
            start = method.future if name == "Transcribe" else method
            call = start(request, timeout=WAIT)
            self.server.expect("running")
            begin = time.monotonic()
            call.cancel()
            self.server.expect("cancelled")
            self.assertLess(time.monotonic() - begin, 0.2)
            client.close()
        self.server.expect("waiting 0")

    def test_deadline(self):
        self.refused(Code.DEADLINE_EXCEEDED,
                     lambda: self.transcribe(model="wait", more={"timeout": 0.1}))
        self.server.expect("cancelled")

    def test_connection_lost(self):
        client = Client(self.server.port)
        call = self.transcribe(client=client, name="TranscribeStream", model="wait")
        self.assertEqual(next(call).WhichOneof("event"), "started")
        client.close()
        self.server.expect("cancelled")


class Full(Case):
    args = ("--waiting", "2", "--reserved", "3000000")

    def test_no_place(self):
        waiting = [self.transcribe(name="TranscribeStream", model="wait") for _ in range(2)]
        for call in waiting:
            self.assertEqual(next(call).WhichOneof("event"), "started")
        trailing = self.refused(Code.RESOURCE_EXHAUSTED, self.transcribe, "full")
        self.assertEqual((trailing["auricle-error"], trailing["retry-after-ms"]), ("LIMIT", "1501"))
        for call in waiting:
            call.cancel()
        self.server.expect("waiting 0")
        self.assertTrue(self.transcribe().text)
        self.server.expect("waiting 0")

    def test_message_counts_with_its_copies(self):
        self.assertTrue(self.transcribe(bytes(1400000)).text)
        self.server.expect("waiting 0")
        trailing = self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.transcribe(bytes(1600000)))
        self.assertIn("retry-after-ms", trailing)
        self.server.expect("waiting 0")


class Silence(Case):
    """Calls that were begun and say nothing, as many as anybody likes to make."""

    args = ("--waiting", "4", "--patience", "1000")

    def begin(self, name, service="auricle.v1.Auricle"):
        """A call without a message, and what would send one."""
        feeder = Feeder()
        call = self.client.channel.stream_stream(f"/{service}/{name}")(iter(feeder), timeout=WAIT)
        self.addCleanup(feeder.end)
        self.addCleanup(call.cancel)
        return call, feeder

    def check(self):
        return self.client.call("Check", message("grpc.health.v1.HealthCheckRequest")(),
                                HEALTH).status

    def test_calls_without_a_message_are_ended(self):
        for name, service in (("ListModels", "auricle.v1.Auricle"), ("Listen", "auricle.v1.Auricle"),
                              ("Check", HEALTH), ("Watch", HEALTH)):
            self.refused(Code.DEADLINE_EXCEEDED, lambda: self.begin(name, service)[0], "in time")

    def test_uploads_that_do_not_come_give_their_places_back(self):
        """Four of them filled the server for ever, and held its end."""
        begun = [self.begin(name) for name in ("Transcribe", "TranscribeStream") * 2]
        self.server.expect("waiting 0")
        self.assertTrue(self.transcribe().text)
        self.server.expect("waiting 0")
        for call, feeder in begun:  # a slow one is heard all the same
            feeder.put(v1("TranscribeRequest", audio=b"late").SerializeToString())
            self.assertTrue(next(call))
            self.server.expect("waiting 0")

    def test_whoever_watches_health_does_not_keep_others_out(self):
        ask = message("grpc.health.v1.HealthCheckRequest")()
        watches = [self.client.call("Watch", ask, HEALTH) for _ in range(256)]
        for watch in watches:
            self.assertEqual(next(watch).status, 1)
            self.addCleanup(watch.cancel)
        self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.client.call("Watch", ask, HEALTH),
                     "of this kind")
        self.assertEqual(self.check(), 1)
        self.client.call("ListModels", v1("ListModelsRequest"))
        watches[0].cancel()
        while True:  # the server may not have noticed yet
            try:
                again = self.client.call("Watch", ask, HEALTH)
                self.assertEqual(next(again).status, 1)
                break
            except grpc.RpcError as error:
                self.assertEqual(error.code(), Code.RESOURCE_EXHAUSTED)
        again.cancel()

    def test_silent_checks_give_way_to_those_that_ask(self):
        silent = [self.begin("Check", HEALTH)[0] for _ in range(300)]
        for _ in range(10):
            self.assertEqual(self.check(), 1)
        self.client.call("ListModels", v1("ListModelsRequest"))
        codes = {call.code() for call in silent}
        self.assertEqual(codes, {Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED})


class Keys(Case):
    args = ("--key", "secret")

    def test_keys(self):
        for metadata in ((), [("authorization", "Bearer wrong")], [("authorization", "secret")],
                         [("authorization", "Bearer ")]):
            more = {"metadata": metadata}
            self.refused(Code.UNAUTHENTICATED, lambda: self.transcribe(more=more), "key is needed")
        for word in ("Bearer secret", "bearer secret"):
            self.assertTrue(self.transcribe(more={"metadata": [("authorization", word)]}).text)
            self.server.expect("released")

    def test_rate(self):
        trailing = self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.transcribe(
            more={"metadata": [("authorization", "Bearer busy")]}), "too many")
        self.assertEqual(trailing["retry-after-ms"], "3001")

    def test_health_is_open_and_reflection_is_not(self):
        ask = message("grpc.health.v1.HealthCheckRequest")()
        self.assertEqual(self.client.call("Check", ask, HEALTH).status, 1)
        self.refused(Code.UNAUTHENTICATED, lambda: self.client.call(
            "ServerReflectionInfo", iter(()), SERVICES[2]))


class Listen(Case):
    def open(self, client=None, **config):
        model = config.pop("model", "")
        feeder = Feeder(v1("ListenRequest", config=v1(
            "ListenConfig", recognition=v1("RecognitionConfig", model=model), **config)))
        call = (client or self.client).call("Listen", iter(feeder))
        self.assertTrue(next(call).opened.session_id)
        return feeder, call

    def test_all_events(self):
        feeder, call = self.open()
        feeder.put(v1("ListenRequest", audio=b"12345"))
        self.assertEqual(next(call).WhichOneof("event"), "speech_started")
        partial = next(call).partial
        self.assertEqual((partial.text, partial.stable, partial.end), (" 5 bytes", " 5 ", 5))
        feeder.put(v1("ListenRequest", finalize=v1("Finalize")))
        final = next(call).final
        self.assertEqual((final.segment.text, final.end_of_speech, final.sequence),
                         (" 5 bytes", True, 1))
        self.assertEqual(next(call).WhichOneof("event"), "finalized")
        feeder.put(v1("ListenRequest", audio=b"6"))
        self.assertEqual(next(call).partial.text, " 6 bytes")
        feeder.put(v1("ListenRequest", close=v1("Close")))
        self.assertEqual([e.WhichOneof("event") for e in call], ["final", "speech_ended", "closed"])
        feeder.end()
        self.assertEqual(call.code(), Code.OK)

    def test_half_close_hears_the_tail(self):
        feeder, call = self.open()
        for _ in range(50):
            feeder.put(v1("ListenRequest", audio=bytes(3200)))
        feeder.end()
        events = list(call)
        self.assertEqual(events[-1].closed.audio_seconds, 160000)
        self.assertEqual(events[-3].final.segment.text, " 160000 bytes")
        self.server.expect("aborted 160000")

    def test_session_that_sips(self):
        feeder, call = self.open(model="sips")
        for _ in range(4):
            feeder.put(v1("ListenRequest", audio=bytes(3200)))
        feeder.end()
        self.assertEqual(list(call)[-1].closed.audio_seconds, 12800)

    def test_wrong_order(self):
        def listen(*requests):
            return lambda: self.client.call("Listen", iter(requests))
        config = v1("ListenRequest", config=v1("ListenConfig"))
        self.refused(Code.INVALID_ARGUMENT, listen(), "first message")
        self.refused(Code.INVALID_ARGUMENT, listen(v1("ListenRequest", audio=b"x")), "first message")
        self.refused(Code.INVALID_ARGUMENT, listen(v1("ListenRequest", close=v1("Close"))), "first")
        self.refused(Code.INVALID_ARGUMENT, listen(config, config), "second config")
        both = b"\x12\x01a\x1a\x00"  # as no client's library makes it
        raw = self.client.channel.stream_stream("/auricle.v1.Auricle/Listen")
        self.refused(Code.INVALID_ARGUMENT, lambda: raw(iter([config.SerializeToString(), both]),
                                                        timeout=WAIT), "not both")
        self.refused(Code.INVALID_ARGUMENT,
                     listen(config, v1("ListenRequest", audio=bytes((4 << 20) + 1))), "4 MiB")
        self.refused(Code.INVALID_ARGUMENT, listen(v1("ListenRequest", config=v1(
            "ListenConfig", resume_seconds=-1))), "negative")
        self.refused(Code.INVALID_ARGUMENT,
                     listen(config, v1("ListenRequest", audio=b"\xee")), "not audio")

    def test_lost_connection_leaves_a_session_that_can_be_resumed(self):
        for seconds, word in ((30, "detached"), (0, "aborted")):
            client = Client(self.server.port)
            feeder, call = self.open(client, resume_seconds=seconds)
            feeder.put(v1("ListenRequest", audio=b"123"))
            next(call)
            client.close()
            feeder.end()
            self.server.expect(f"{word} 3")

    def test_resume(self):
        feeder, call = self.open(resume_session_id="0123456789abcdef")
        feeder.end()
        self.assertEqual(list(call)[-1].WhichOneof("event"), "closed")
        self.refused(Code.NOT_FOUND, lambda: self.client.call("Listen", iter([v1(
            "ListenRequest", config=v1("ListenConfig", resume_session_id="x"))])), "no session x")

    def test_slow_reader_keeps_finals_and_memory_stays_bounded(self):
        feeder, call = self.open(model="flood:50")
        n = 2000  # 8 MB of finals, 400 MB of partials
        status = f"/proc/{self.server.process.pid}/status"
        for _ in range(n):
            feeder.put(v1("ListenRequest", audio=b"12"))
        feeder.end()
        partials, finals, peak = 0, [], 0
        for i, event in enumerate(call):
            if event.WhichOneof("event") == "partial":
                partials += 1
            elif event.WhichOneof("event") == "final":
                finals.append(int(event.final.segment.text.split()[0]))
            if i % 100 == 0:
                with open(status, encoding="ascii") as file:
                    peak = max(peak, *(int(line.split()[1]) for line in file
                                       if line.startswith("VmRSS")))
        # Where a message was taken in two halves its middle is told as well.
        self.assertEqual([final for final in finals if final % 2 == 0],
                         [2 * (i + 1) for i in range(n)] + [2 * n])
        self.assertLess(partials, n * 50)
        if not SANITIZED:  # a sanitizer keeps what was freed
            self.assertLess(peak, 120 * 1024)


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        import tempfile
        cls.folder = tempfile.TemporaryDirectory(prefix="auricle-grpc-")
        if not certificate.AVAILABLE:
            raise unittest.SkipTest("openssl is absent")
        cls.certificate, cls.key = certificate.make(cls.folder.name)
        cls.args = ("--certificate", cls.certificate, "--tls-key", cls.key)
        cls.server = Fake(*cls.args)
        with open(cls.certificate, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        cls.client = Client(cls.server.port, credentials)

    def test_call(self):
        self.assertTrue(self.transcribe().text)
        plain = Client(self.server.port)
        self.refused(Code.UNAVAILABLE, lambda: self.transcribe(client=plain))
        plain.close()

    def test_wrong_files(self):
        def run(*args):
            done = subprocess.run([FAKE, MODULE, *args], capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL, timeout=WAIT)
            self.assertEqual(done.returncode, 1)
            return done.stderr.splitlines()[-1]
        self.assertIn("no-such", run("--certificate", "no-such", "--tls-key", self.key))
        self.assertIn("and its key", run("--certificate", self.certificate))
        self.assertIn("certificate", run("--certificate", self.key, "--tls-key", self.certificate))


class Starting(unittest.TestCase):
    def run_fake(self, *args):
        return subprocess.run([FAKE, *args], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=WAIT)

    def test_port_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            done = self.run_fake(MODULE, "--port", str(taken.getsockname()[1]))
        self.assertEqual(done.returncode, 1)
        self.assertIn("in use", done.stderr.splitlines()[-1])

    def test_host_is_wrong(self):
        done = self.run_fake(MODULE, "--host", "256.256.256.256")
        self.assertEqual(done.returncode, 1)
        self.assertIn("256.256.256.256", done.stderr.splitlines()[-1])

    def test_module_is_absent_or_another(self):
        self.assertIn("no-such-module.so", self.run_fake("./no-such-module.so").stderr)
        self.assertIn("not the gRPC module", self.run_fake("libm.so.6").stderr)

    def test_program_links_no_grpc(self):
        for program in (FAKE, cli.AURICLE):
            linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
            self.assertNotRegex(linked.stdout, r"grpc|protobuf|absl")

    def test_module_holds_nothing_of_the_service(self):
        symbols = subprocess.run(["nm", MODULE], capture_output=True, text=True, check=True).stdout
        self.assertNotRegex(symbols, r" [tTdDbB] (service|recog|whisper|http)_")
        exported = subprocess.run(["nm", "-D", "--defined-only", MODULE], capture_output=True,
                                  text=True, check=True).stdout
        names = [line.split()[-1] for line in exported.splitlines()]
        self.assertEqual([name for name in names if not name.startswith("__odr_asan")],
                         ["api_grpc_module"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
