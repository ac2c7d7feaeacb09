"""Live audio over /v1/stream: what is said, in which order, what is refused, and coming back."""

import json
import os
import pathlib
import struct
import sys
import unittest
import wave

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "service"))
import probe  # noqa: E402
import ws  # noqa: E402

probe.LIMIT_SECONDS = 60
SOURCE = pathlib.Path(os.environ.get("AURICLE_SOURCE", "."))
SPEECH = "/usr/share/sounds/alsa/Front_Center.wav"  # "Front, center.": 1.4 s, 48 kHz, mono


def pcm():
    with wave.open(SPEECH) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 48000)
        return file.readframes(file.getnframes())


def pieces(data, n=9600):
    return [data[i:i + n] for i in range(0, len(data), n)]


MOST = 8  # sessions at once that the probe takes
SILENCE = b"\0" * 96000  # a second
PCM = "/v1/stream?encoding=linear16&sample_rate=48000&language=en"


class Stream(ws.WebSocket):
    def event(self):
        return json.loads(self.receive())

    def until(self, kind):
        """Events up to the first of that type."""
        events = []
        while not events or events[-1]["type"] != kind:
            events.append(self.event())
        return events

    def say(self, **message):
        self.send(json.dumps(message))

    def to_the_end(self):
        """All events, and the code of the close."""
        events = []
        try:
            while True:
                events.append(self.event())
        except ws.Closed as closed:
            return events, closed


def taken_over(client):
    """A stream over a connection whose handshake is done."""
    stream = Stream.__new__(Stream)
    stream.client, stream.pings, stream.answer_pings = client, 0, True
    return stream


def text_of(events):
    return " ".join(event["channel"]["alternatives"][0]["transcript"] for event in events
                    if event["type"] == "Results" and event["is_final"]).strip()


class Case(probe.Case):
    arguments = [os.environ.get("AURICLE", "build/auricle"), str(SOURCE / "models" / "nano")]

    def open(self, target=PCM, **more):
        return Stream(self.client(), target, **more)

    def fails(self, stream, code, close):
        """The last event is an Error with this code, and the close has that one."""
        events, closed = stream.to_the_end()
        self.assertEqual((events[-1]["type"], events[-1]["code"]), ("Error", code))
        self.assertTrue(events[-1]["message"])
        self.assertEqual(closed.code, close)
        return events[-1]["message"]


@unittest.skipUnless(os.path.exists(SPEECH), "no recorded speech: install alsa-utils")
class Speech(Case):
    def check_words(self, events):
        """Which words depends on the bundled model, and that is trained on."""
        self.assertTrue(text_of(events))
        words = [word for event in events if event["type"] == "Results" and event["is_final"]
                 for word in event["channel"]["alternatives"][0]["words"]]
        self.assertTrue(words)
        for word in words:
            self.assertLessEqual(word["start"], word["end"])
            self.assertLess(word["end"], 3)
            self.assertEqual(word["word"], word["word"].lower())
        return words

    def test_the_tail_is_heard_and_the_end_told(self):
        """WhisperLive#203: the end of the audio drops the last segment."""
        stream = self.open()
        opening = stream.event()
        self.assertEqual((opening["type"], opening["resumed"]), ("Open", False))
        self.assertRegex(opening["session_id"], "^[0-9a-f]{32}$")
        for piece in pieces(pcm()):
            stream.send(piece)
        stream.say(type="CloseStream")
        events, closed = stream.to_the_end()
        words = self.check_words(events)
        self.assertGreater(words[-1]["end"], 0.8)  # of 1.4 s
        self.assertEqual(events[-1]["type"], "Metadata")
        self.assertAlmostEqual(events[-1]["duration"], len(pcm()) / 96000, delta=0.05)
        self.assertEqual(events[-1]["session_id"], opening["session_id"])
        self.assertEqual(closed.code, 1000)
        kinds = [event["type"] for event in events]
        self.assertLess(kinds.index("SpeechStarted"), kinds.index("Results"))

    def test_silence_ends_an_utterance(self):
        stream = self.open(PCM + "&endpointing=300")
        for piece in pieces(pcm() + SILENCE + SILENCE):
            stream.send(piece)
        events = stream.until("UtteranceEnd")
        words = self.check_words(events)
        self.assertEqual(events[-1]["last_word_end"], words[-1]["end"])
        finals = [e for e in events if e["type"] == "Results" and e["is_final"]]
        self.assertTrue(finals[-1]["speech_final"])
        self.assertFalse(any(e["from_finalize"] for e in finals))
        stream.say(type="close")
        self.assertEqual(stream.to_the_end()[1].code, 1000)

    def test_finalize_makes_final_what_was_heard(self):
        stream = self.open(PCM + "&endpointing=false")
        for piece in pieces(pcm()):
            stream.send(piece)
        stream.say(type="Finalize")
        events = []
        while not (events and events[-1]["type"] == "Results" and events[-1]["from_finalize"] and
                   not text_of(events[-1:])):
            events.append(stream.event())
        self.check_words(events)
        stream.send('{"eof" : 1}')
        self.assertEqual(stream.to_the_end()[1].code, 1000)

    def test_partial_results_can_be_left_out(self):
        stream = self.open(PCM + "&interim_results=false&vad_events=false&words=false")
        for piece in pieces(pcm() + SILENCE):
            stream.send(piece)
        stream.say(type="CloseStream")
        events, _ = stream.to_the_end()
        self.assertEqual({e["type"] for e in events}, {"Open", "Results", "Metadata"})
        self.assertTrue(all(e["is_final"] for e in events if e["type"] == "Results"))
        self.assertTrue(text_of(events))

    def test_float_and_other_rates(self):
        samples = struct.unpack(f"<{len(pcm()) // 2}h", pcm())[::3]
        data = struct.pack(f"<{len(samples)}f", *(s / 32768 for s in samples))
        stream = self.open("/v1/stream")
        stream.say(type="Configure", encoding="float32", sample_rate=16000, language="en",
                   keywords=["front", "center"])
        self.assertEqual(stream.event()["type"], "Open")
        for piece in pieces(data):
            stream.send(piece)
        stream.say(type="CloseStream")
        self.check_words(stream.to_the_end()[0])

    def test_a_first_message_of_vosk_configures_and_its_end_is_read_as_json(self):
        """Vosk's servers compare the end with one spelling, and ignore configurations."""
        for end in ('{"eof" : 1}', '{"eof":1}', ' { "eof": 1 } '):
            stream = self.open("/v1/stream")
            stream.say(config={"encoding": "linear16", "sample_rate": 48000, "language": "en"})
            for piece in pieces(pcm()):
                stream.send(piece)
            stream.send(end)
            self.check_words(stream.to_the_end()[0])

    def test_a_container_needs_no_announcement(self):
        data = pathlib.Path(SPEECH).read_bytes()
        for target in ("/v1/stream?language=en", "/v1/stream?encoding=auto&language=en"):
            stream = self.open(target)
            for piece in pieces(data):
                stream.send(piece)
            stream.say(type="CloseStream")
            self.check_words(stream.to_the_end()[0])

    def test_a_lost_connection_comes_back_to_its_words(self):
        stream = self.open()
        name = stream.event()["session_id"]
        data = pieces(pcm() + SILENCE + SILENCE)
        for piece in data[:8]:
            stream.send(piece)
        stream.client.close()
        again = self.come_back(name)
        opening = again.event()
        self.assertEqual((opening["session_id"], opening["resumed"]), (name, True))
        for piece in data[8:]:
            again.send(piece)
        again.say(type="CloseStream")
        events, closed = again.to_the_end()
        self.check_words(events)
        self.assertEqual(closed.code, 1000)
        answer = self.client().send(ws.opening(f"/v1/stream?resume={name}")[0]).answer()
        self.assertEqual(answer.status, 404)

    def come_back(self, name):
        while True:  # the server may not have noticed yet
            client = self.client()
            if client.send(ws.opening(f"{PCM}&resume={name}")[0]).header()[0] == 101:
                return taken_over(client)

    def test_an_end_that_a_dead_connection_took_is_told_again(self):
        stream = self.open()
        name = stream.event()["session_id"]
        for piece in pieces(pcm() + SILENCE):
            stream.send(piece)
        stream.say(type="CloseStream")
        lost = [e for e in stream.until("Metadata") if e.get("is_final") or e["type"] == "Metadata"]
        stream.client.close()  # before the close was answered
        again = self.come_back(name)
        events, closed = again.to_the_end()
        self.assertEqual((events[0]["type"], events[0]["resumed"], closed.code), ("Open", True, 1000))
        told = [e for e in events if e.get("is_final") or e["type"] == "Metadata"]
        self.assertEqual([e.get("channel") for e in told], [e.get("channel") for e in lost])
        self.assertEqual(told[-1]["duration"], lost[-1]["duration"])
        again.answer_close(closed.code)
        self.assertTrue(again.client.at_end())
        self.assertEqual(self.client().send(ws.opening(f"{PCM}&resume={name}")[0]).header()[0], 404)

    def test_finals_that_a_dead_connection_took_are_sent_again(self):
        """A train in a tunnel: the system took them for sent, and nobody got them."""
        stream = self.open(PCM + "&endpointing=300&interim_results=false")
        name = stream.event()["session_id"]
        for piece in pieces(pcm() + SILENCE + SILENCE):
            stream.send(piece)
        lost = [e for e in stream.until("UtteranceEnd") if e["type"] == "Results"]
        self.assertEqual([e["sequence"] for e in lost], [i + 1 for i in range(len(lost))])
        stream.client.close()
        again = self.come_back(name)
        self.assertEqual(again.event()["type"], "Open")
        told = [again.event() for _ in lost]
        self.assertEqual(*([(e["sequence"], e["start"], e["channel"]) for e in finals]
                           for finals in (lost, told)))
        for piece in pieces(pcm() + SILENCE + SILENCE):
            again.send(piece)
        more = [e for e in again.until("UtteranceEnd") if e["type"] == "Results"]
        self.assertEqual(more[0]["sequence"], len(lost) + 1)
        again.say(type="CloseStream")
        self.assertEqual(again.to_the_end()[1].code, 1000)


class Places(Case):
    """A server of its own: sessions that tests of others have left wait for their clients, and hold places."""

    def try_to_open(self):
        """(status, headers, client)"""
        client = self.client()
        return (*client.send(ws.opening(PCM)[0]).header()[:2], client)

    def test_too_many_sessions_are_429_and_a_place_is_given_back(self):
        streams = [self.open() for _ in range(MOST)]
        for stream in streams[1:]:
            self.assertEqual(stream.event()["type"], "Open")
        status, headers, _ = self.try_to_open()
        self.assertEqual(status, 429)
        self.assertIn("retry-after", headers)
        for stream in streams[:2]:  # the second's end is told after the first has left its place
            stream.say(type="CloseStream")
            self.assertEqual(stream.to_the_end()[1].code, 1000)
        status, _, client = self.try_to_open()
        self.assertEqual(status, 101)
        self.assertEqual(taken_over(client).event()["type"], "Open")

    def test_a_lost_session_keeps_its_place(self):
        streams = [self.open() for _ in range(MOST)]
        name = streams[0].event()["session_id"]
        streams[0].client.close()
        self.assertEqual(self.try_to_open()[0], 429)
        found = None
        while found != 101:  # the server may not have noticed yet
            again = self.client()
            found = again.send(ws.opening(f"{PCM}&resume={name}")[0]).header()[0]
        streams[0] = taken_over(again)
        for stream in streams:
            stream.say(type="CloseStream")
            self.assertEqual(stream.to_the_end()[1].code, 1000)


class Refusals(Case):
    def refuses(self, target, status, word):
        answer = self.client().send(ws.opening(target)[0]).answer()
        self.assertEqual(answer.status, status, target)
        self.assertIn(word, json.loads(answer.body)["error"]["message"])

    def test_what_is_wrong_in_the_query_has_a_status(self):
        self.refuses("/v1/stream?encoding=mp5", 400, "mp5")
        self.refuses("/v1/stream?sample_rate=0", 400, "sample_rate")
        self.refuses("/v1/stream?channels=9", 400, "channels")
        self.refuses("/v1/stream?endpointing=5", 400, "endpointing")
        self.refuses("/v1/stream?interim_results=maybe", 400, "interim_results")
        self.refuses("/v1/stream?sampel_rate=1", 400, "sampel_rate")
        self.refuses(PCM.replace("=en", "=klingon"), 400, "klingon")
        self.refuses(PCM + "&model=none-such", 404, "none-such")
        self.refuses("/v1/stream?resume=0123456789abcdef0123456789abcdef", 404, "live session")
        self.assertEqual(self.get(PCM).status, 426)

    def test_handshakes_that_are_refused_take_no_place(self):
        """Any page a browser shows may try: that took all places, and kept them."""
        evil = "Origin: https://elsewhere.example"
        good = ws.opening(PCM)[0]
        for text, status in ((ws.opening(PCM, headers=[evil])[0], 403),
                             (good.replace("Version: 13", "Version: 12"), 426),
                             (ws.opening(PCM, key="short")[0], 400)):
            for _ in range(9):  # one more than there are places
                self.assertEqual(self.client().send(text).answer().status, status)
            stream = self.open()
            self.assertEqual(stream.event()["type"], "Open")
            stream.close()

    def test_a_refused_handshake_does_not_end_what_it_would_come_back_to(self):
        stream = self.open()
        target = f"{PCM}&resume={stream.event()['session_id']}"
        refused = ws.opening(target, headers=["Origin: https://elsewhere.example"])[0]
        self.assertEqual(self.client().send(refused).answer().status, 403)
        stream.client.close()
        self.assertEqual(self.client().send(refused).answer().status, 403)
        again, found = None, None
        while not found or found[0] == 404:  # the server may not have noticed yet
            again = self.client()
            found = again.send(ws.opening(target)[0]).header()
        self.assertEqual(found[0], 101)
        self.assertTrue(taken_over(again).event()["resumed"])

    def test_a_language_may_have_a_region(self):
        stream = self.open(PCM.replace("=en", "=en-US"))
        stream.say(type="CloseStream")
        self.assertEqual(stream.to_the_end()[1].code, 1000)

    def test_audio_before_its_encoding(self):
        stream = self.open("/v1/stream")
        stream.send(b"\1\2\3\4")
        self.assertIn("encoding", self.fails(stream, "not_configured", 1008))

    def test_odd_samples(self):
        stream = self.open()
        stream.send(b"\0" * 33)
        self.fails(stream, "odd_audio", 1007)
        stream = self.open(PCM + "&channels=2")
        stream.send(b"\0" * 34)
        self.fails(stream, "odd_audio", 1007)

    def test_a_message_that_is_too_large(self):
        stream = self.open()
        name = stream.event()["session_id"]
        stream.send(b"\0" * (1 << 20))
        stream.send(b"\0" * (2 << 20))
        self.assertIn("1 MiB", self.fails(stream, "too_large", 1009))
        stream.client.send(ws.frame(ws.CLOSE, struct.pack(">H", 1009)))
        self.assertTrue(stream.client.at_end())
        again = self.open(f"/v1/stream?resume={name}")  # with smaller ones
        again.say(type="CloseStream")
        self.assertEqual(again.to_the_end()[1].code, 1000)

    def test_text_that_is_no_json(self):
        for text in ("hello", "[1]", '"x"', "{", ""):
            stream = self.open()
            stream.send(text)
            self.fails(stream, "invalid_json", 1007)

    def test_an_unknown_message_is_told_and_the_session_goes_on(self):
        stream = self.open()
        stream.say(type="Sing")
        self.assertEqual([e["type"] for e in stream.until("Error")], ["Open", "Error"])
        stream.say(type="Configure", encoding="mulaw")
        self.assertEqual(stream.event()["code"], "already_configured")
        stream.say(type="CloseStream")
        self.assertEqual(stream.to_the_end()[1].code, 1000)

    def test_a_wrong_first_message(self):
        stream = self.open("/v1/stream")
        stream.say(type="Configure", encoding="linear16", sample_rate="fast")
        self.assertIn("sample_rate", self.fails(stream, "invalid_value", 1008))

    def test_broken_media(self):
        stream = self.open("/v1/stream?encoding=webm")
        stream.send(b"this is no recording" * 5000)
        stream.say(type="CloseStream")
        events, closed = stream.to_the_end()
        self.assertEqual(events[-1]["type"], "Error")
        self.assertEqual(closed.code, 1007)

    def test_silence_of_the_client_ends_the_connection(self):
        """sherpa-onnx's server waits for ever."""
        stream = self.open()
        self.fails(stream, "idle", 1011)

    def test_keepalive_keeps_it(self):
        stream = self.open()
        stream.event()
        stream.client.socket.settimeout(0.5)
        for _ in range(6):
            stream.say(type="KeepAlive")
            with self.assertRaises(TimeoutError):
                stream.frame()
            stream.client.file = stream.client.socket.makefile("rb")
        stream.client.socket.settimeout(probe.LIMIT_SECONDS)
        stream.say(type="CloseStream")
        self.assertEqual(stream.to_the_end()[1].code, 1000)

    def test_nothing_sent_at_all(self):
        stream = self.open("/v1/stream")
        stream.say(type="CloseStream")
        events, closed = stream.to_the_end()
        self.assertEqual(([e["type"] for e in events], closed.code), (["Metadata"], 1000))

    def test_a_protocol_of_a_browser_is_named_back(self):
        stream = self.open(headers=["Sec-WebSocket-Protocol: token, abc"])
        self.assertEqual(stream.headers["sec-websocket-protocol"], "token")


if __name__ == "__main__":
    unittest.main()
