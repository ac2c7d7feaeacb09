"""The REST front, with the bundled model: what it answers, and how it refuses."""

import array
import concurrent.futures
import json
import math
import socket
import unittest
import wave
import io

from server import NOTE, TALK, Server, form, heard_by_the_command, read, until

TRANSCRIPTIONS = "/v1/audio/transcriptions"
SERVER = None


def setUpModule():
    global SERVER
    SERVER = Server("--max-file-size", "3MB", "--max-audio-seconds", "300")


def tearDownModule():
    status = SERVER.stop()
    assert status == 0, SERVER.text()


def wav(samples):
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples)
    return data.getvalue()


def silence(seconds):
    return wav(bytes(2 * 16000 * seconds))


def tune(seconds):
    """A new note of one sine every half second."""
    samples = array.array("h")
    for beat in range(2 * seconds):
        hz = 220 * 2 ** ((beat * 5) % 12 / 12)
        samples.extend(int(5000 * math.sin(2 * math.pi * hz * i / 16000)) for i in range(8000))
    return wav(samples.tobytes())


class Case(unittest.TestCase):
    maxDiff = 4000

    def expect(self, answer, status):
        self.assertEqual(answer.status, status, answer.text() + SERVER.text())

    def expect_error(self, answer, status, param=None, *words, code=None):
        """OpenAI's error object, all four members, naming what was wrong."""
        self.expect(answer, status)
        self.assertEqual(answer.type, "application/json")
        error = answer.json()["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertEqual(error["param"], param, error)
        if code:
            self.assertEqual(error["code"], code)
        for word in words:
            self.assertIn(word, error["message"])


class Formats(Case):
    @classmethod
    def setUpClass(cls):
        cls.heard = heard_by_the_command(TALK)

    def test_json_is_what_the_command_hears(self):
        answer = SERVER.transcribe()
        self.expect(answer, 200)
        document = answer.json()
        self.assertEqual(document["text"], self.heard["text"].strip())
        self.assertEqual([entry["code"] for entry in document["languages"]],
                         [self.heard["language"]])
        self.assertEqual(document["usage"]["type"], "duration")
        self.assertIn("total;dur=", answer.headers["Server-Timing"])
        self.assertTrue(answer.headers["x-request-id"])

    def test_text(self):
        answer = SERVER.transcribe([("response_format", "text")])
        self.assertEqual(answer.text(), self.heard["text"].strip() + "\n")

    def test_text_is_never_html(self):
        for path in (TRANSCRIPTIONS, "/inference"):
            answer = SERVER.post(path, [("response_format", "text")], read(NOTE))
            self.assertTrue(answer.type.startswith("text/plain"), answer.type)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")

    def test_subtitles(self):
        srt = SERVER.transcribe([("response_format", "srt")])
        vtt = SERVER.transcribe([("response_format", "vtt")])
        self.assertTrue(srt.type.startswith("application/x-subrip"))
        self.assertTrue(vtt.type.startswith("text/vtt"))
        self.assertTrue(srt.text().startswith("1\n00:00:"))
        self.assertTrue(vtt.text().startswith("WEBVTT\n\n00:"))

    def test_verbose_json(self):
        document = SERVER.transcribe([("response_format", "verbose_json"), ("language", "en")]).json()
        self.assertEqual(document["task"], "transcribe")
        self.assertEqual(document["language"], "english")
        self.assertIsInstance(document["duration"], float)
        self.assertNotIn("words", document)
        for segment in document["segments"]:
            self.assertTrue(segment["text"].startswith(" "), segment)
            self.assertLessEqual(segment["start"], segment["end"])
        self.assertEqual(document["segments"],
                         heard_by_the_command(TALK, "-l", "en")["segments"])
        self.assertGreater(document["timings"]["total"], 0)

    def test_words_are_never_null(self):
        document = SERVER.transcribe([("response_format", "verbose_json"),
                                      ("timestamp_granularities[]", "word")]).json()
        self.assertNotIn("segments", document)
        words = heard_by_the_command(TALK, "--word-timestamps")["segments"]
        self.assertEqual(document["words"], [{**w, "word": w["word"].strip()}
                                             for s in words for w in s["words"]])
        both = SERVER.transcribe([("response_format", "verbose_json"),
                                  ("timestamp_granularities", "word"),
                                  ("timestamp_granularities", "segment")]).json()
        self.assertTrue(both["words"] and both["segments"])

    def test_log_probabilities(self):
        document = SERVER.transcribe([("include[]", "logprobs")]).json()
        heard = b"".join(bytes(token["bytes"]) for token in document["logprobs"])
        self.assertEqual(heard.decode(errors="replace").strip(), document["text"])
        for token in document["logprobs"]:
            self.assertLessEqual(token["logprob"], 0)

    def test_silence_gives_answers_of_the_right_form(self):
        quiet = silence(3)
        self.assertEqual(SERVER.transcribe(file=quiet).json()["text"], "")
        self.assertEqual(SERVER.transcribe([("response_format", "vtt")], quiet).text(), "WEBVTT\n\n")
        verbose = SERVER.transcribe([("response_format", "verbose_json")], quiet).json()
        self.assertEqual((verbose["text"], verbose["segments"]), ("", []))
        self.assertEqual(SERVER.transcribe(file=quiet).json()["languages"], [])

    def test_a_tune_is_no_text(self):
        self.assertEqual(SERVER.transcribe(file=tune(15)).json()["text"], "")

    def test_candidate_languages(self):
        document = SERVER.transcribe([("languages[]", "de"), ("languages[]", "fr")]).json()
        self.assertIn(document["languages"][0]["code"], ("de", "fr"))

    def test_chunking_strategies(self):
        plain = SERVER.transcribe().json()["text"]
        for fields in ([("chunking_strategy", "auto")],
                       [("chunking_strategy[type]", "server_vad"),
                        ("chunking_strategy[threshold]", "0.5")],
                       [("chunking_strategy", '{"type": "server_vad", "threshold": 0.5}')]):
            self.assertEqual(SERVER.transcribe(fields).json()["text"], plain)

    def test_translations_of_english_only_hints(self):
        answer = SERVER.post("/v1/audio/translations", [("response_format", "verbose_json")],
                             read(TALK))
        self.expect(answer, 200)
        self.assertEqual(answer.json()["task"], "translate")


class Bodies(Case):
    def heard(self, answer):
        self.expect(answer, 200)
        return answer.json()["text"]

    def test_a_bare_body_with_fields_in_the_query(self):
        answer = SERVER.ask("POST", TRANSCRIPTIONS + "?language=en&response_format=text", read(NOTE),
                            {"Content-Type": "audio/wav"})
        self.expect(answer, 200)
        self.assertEqual(answer.text(), heard_by_the_command(NOTE, "-l", "en")["text"].strip() + "\n")

    def test_chunked_uploads_are_taken(self):
        body, content_type = form([("model", "whisper-1")], read(NOTE))
        pieces = (body[i:i + 1000] for i in range(0, len(body), 1000))
        answer = SERVER.ask("POST", TRANSCRIPTIONS, pieces, {"Content-Type": content_type},
                            chunked=True)
        self.assertEqual(self.heard(answer), self.heard(SERVER.transcribe(file=read(NOTE))))

    def test_expect_continue(self):
        body, content_type = form([], read(NOTE))
        with socket.create_connection(("127.0.0.1", SERVER.port), timeout=30) as client:
            client.sendall(f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}"
                           f"\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n"
                           "Connection: close\r\n\r\n".encode())
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 100"))
            client.sendall(body)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)

    def test_too_large_is_refused_before_it_is_sent(self):
        with socket.create_connection(("127.0.0.1", SERVER.port), timeout=30) as client:
            client.sendall(f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"
                           "Content-Length: 500000000\r\nExpect: 100-continue\r\n\r\n".encode())
            self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 413"))

    def test_too_large_in_chunks(self):
        pieces = (bytes(100000) for _ in range(80))
        try:
            answer = SERVER.ask("POST", TRANSCRIPTIONS, pieces, {"Content-Type": "audio/wav"},
                                chunked=True)
            self.expect_error(answer, 413, "file", code="too_large")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer was overrun by what was still being sent
        self.expect(SERVER.ask("GET", "/health"), 200)

    def test_arrays_with_and_without_brackets(self):
        for name in ("keywords[]", "keywords"):
            self.heard(SERVER.transcribe([(name, "auricle"), (name, "speech")]))

    def test_media_types_have_no_case(self):
        body, content_type = form([("response_format", "text")], read(NOTE))
        kind = content_type.replace("multipart/form-data", "Multipart/Form-Data")
        answer = SERVER.ask("POST", TRANSCRIPTIONS, body, {"Content-Type": kind})
        self.expect(answer, 200)
        self.assertTrue(answer.type.startswith("text/plain"))
        self.expect_error(SERVER.ask("POST", TRANSCRIPTIONS, b"{}",
                                     {"Content-Type": "Application/JSON"}), 400, "file", "JSON")

    def test_a_language_may_have_a_region(self):
        for path in (TRANSCRIPTIONS, "/inference"):
            answer = SERVER.transcribe([("language", "en-US"), ("response_format", "verbose_json")],
                                       path=path)
            self.assertEqual(answer.json()["language"], "english")
        self.expect_error(SERVER.transcribe([("language", "xx-US")]), 400, "language", "xx-US")

    def test_fields_after_the_file(self):
        body, content_type = form([("response_format", "text")], read(NOTE), file_first=True)
        answer = SERVER.ask("POST", TRANSCRIPTIONS, body, {"Content-Type": content_type})
        self.expect(answer, 200)
        self.assertTrue(answer.type.startswith("text/plain"))


class Streams(Case):
    def test_deltas_make_up_the_text_of_the_end(self):
        answer = SERVER.transcribe([("stream", "true")])
        self.expect(answer, 200)
        self.assertEqual(answer.type, "text/event-stream")
        events = answer.events()
        kinds = [event["type"] for event in events]
        self.assertEqual(kinds, ["transcript.text.delta"] * (len(kinds) - 1)
                         + ["transcript.text.done"])
        text = SERVER.transcribe().json()["text"]
        self.assertEqual("".join(event["delta"] for event in events[:-1]), text)
        self.assertEqual(events[-1]["text"], text)
        usage = events[-1]["usage"]
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])

    def test_words_in_a_stream(self):
        events = SERVER.transcribe([("stream", "true"), ("timestamp_granularities[]", "word")]).events()
        for event in events[:-1]:
            # Two words may stand without a blank between them ("time,ted"), so blanks are left out.
            self.assertEqual("".join(w["word"] for w in event["words"]).replace(" ", ""),
                             event["delta"].replace(" ", ""))

    def test_log_probabilities_in_a_stream(self):
        asked = [("include[]", "logprobs"), ("temperature", "0")]
        whole = SERVER.transcribe(asked).json()
        *deltas, end = SERVER.transcribe(asked + [("stream", "true")]).events()
        self.assertTrue(deltas)
        self.assertEqual(sum((delta["logprobs"] for delta in deltas), []), end["logprobs"])
        self.assertEqual([t["bytes"] for t in end["logprobs"]],
                         [t["bytes"] for t in whole["logprobs"]])
        self.assertNotIn("logprobs", SERVER.transcribe([("stream", "true")]).events()[-1])

    def test_what_cannot_begin_fails_as_json(self):
        answer = SERVER.transcribe([("stream", "true")], b"this is no recording")
        self.expect_error(answer, 400)

    def test_streams_have_no_subtitles(self):
        self.expect_error(SERVER.transcribe([("stream", "true"), ("response_format", "srt")]), 400,
                          "stream")


class Refusals(Case):
    def test_no_file(self):
        self.expect_error(SERVER.post(TRANSCRIPTIONS, [("model", "whisper-1")]), 400, "file", "file")

    def test_empty_file(self):
        self.expect_error(SERVER.transcribe(file=b""), 400, "file", "empty")

    def test_a_recording_without_samples(self):
        for fields in ([], [("stream", "true")], [("language", "en"), ("profile", "reference")]):
            self.expect_error(SERVER.transcribe(fields, wav(b"")), 400, None, "0 samples",
                              code="no_audio")
        answer = SERVER.transcribe(file=wav(b""), path="/inference")
        self.expect(answer, 400)
        self.assertIn("0 samples", answer.json()["error"])

    def test_two_files(self):
        body, content_type = form([], read(NOTE))
        end = body.rindex(b"--" + content_type.split("=")[1].encode())
        self.expect_error(SERVER.ask("POST", TRANSCRIPTIONS, body[:end] + body,
                                     {"Content-Type": content_type}), 400, "file", "more than one")

    def test_no_media(self):
        for data in (b"this is no recording", bytes(1000), b"RIFF", b"\xff" * 5000, b"<html>"):
            answer = SERVER.transcribe(file=data)
            self.expect_error(answer, 400)

    def test_too_long(self):
        answer = SERVER.transcribe(file=quiet_mu_law(600))
        self.expect_error(answer, 413, None, code="too_large")

    def test_bad_number_is_400_and_names_it(self):
        self.expect_error(SERVER.transcribe([("temperature", "warm")]), 400, "temperature", "warm")
        self.expect_error(SERVER.transcribe([("temperature", "1.5")]), 400, "temperature", "1.5")
        answer = SERVER.post("/inference", [("temperature", "warm")], read(NOTE))
        self.expect(answer, 400)
        self.assertIn("temperature", answer.json()["error"])

    def test_unknown_format_is_400_and_names_it(self):
        self.expect_error(SERVER.transcribe([("response_format", "docx")]), 400, "response_format",
                          "docx", "verbose_json")
        refused = SERVER.transcribe([("response_format", "docx")]).json()["error"]["message"]
        self.assertNotIn("diarized", refused)  # which is refused too

    def test_speakers_are_refused_in_words(self):
        self.expect_error(SERVER.transcribe([("response_format", "diarized_json")]), 400,
                          "response_format", "speakers")
        self.expect_error(SERVER.transcribe([("known_speaker_names[]", "Ann")]), 400,
                          "known_speaker_names")

    def test_unknown_field(self):
        self.expect_error(SERVER.transcribe([("temprature", "0")]), 400, "temprature",
                          code="unknown_parameter")

    def test_unknown_language(self):
        self.expect_error(SERVER.transcribe([("language", "klingon")]), 400, "language", "klingon")

    def test_unknown_model(self):
        self.expect_error(SERVER.transcribe([("model", "gpt-9")]), 404, "model", "gpt-9",
                          code="model_not_found")

    def test_a_model_is_never_a_path(self):
        for path in ("/etc/passwd", "../models/nano", NOTE):
            self.expect_error(SERVER.transcribe([("model", path)]), 404, "model")

    def test_granularities(self):
        self.expect_error(SERVER.transcribe([("timestamp_granularities[]", "word")]), 400,
                          "timestamp_granularities")
        self.expect_error(SERVER.transcribe([("response_format", "verbose_json"),
                                             ("timestamp_granularities[]", "letter")]), 400,
                          "timestamp_granularities", "letter")

    def test_chunking(self):
        for value in ("sometimes", "{", '{"type": "none"}', '{"threshold": "loud"}'):
            self.expect_error(SERVER.transcribe([("chunking_strategy", value)]), 400,
                              "chunking_strategy")

    def test_bytes_that_are_no_text(self):
        self.expect_error(SERVER.transcribe([("prompt", b"\xff\xfe")]), 400, "file", "prompt")
        self.expect_error(SERVER.transcribe([("prompt", b"a\0b")]), 400, "file", "prompt")

    def test_content_types(self):
        for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            self.expect_error(SERVER.ask("POST", TRANSCRIPTIONS, b"{}",
                                         {"Content-Type": content_type}), 400, "file",
                              content_type)
        self.expect_error(SERVER.ask("POST", TRANSCRIPTIONS, b"--x",
                                     {"Content-Type": "multipart/form-data"}), 400, "file",
                          "boundary")

    def test_broken_forms(self):
        body, content_type = form([("model", "whisper-1")], read(NOTE))
        for broken in (body[:-20], body[:50], b"", b"junk", body.replace(b"\r\n\r\n", b"\r\n", 1)):
            self.expect_error(SERVER.ask("POST", TRANSCRIPTIONS, broken,
                                         {"Content-Type": content_type}), 400, "file")

    def test_many_fields(self):
        self.expect_error(SERVER.transcribe([(f"x{i}", "1") for i in range(200)]), 413, "file")

    def test_methods_and_paths(self):
        answer = SERVER.ask("GET", TRANSCRIPTIONS)
        self.expect_error(answer, 405)
        self.assertIn("POST", answer.headers["Allow"])
        self.expect_error(SERVER.ask("GET", "/v1/nothing"), 404)
        self.expect_error(SERVER.ask("DELETE", "/v1/models"), 405)


class WhisperCpp(Case):
    def test_formats(self):
        text = SERVER.post("/inference", [("response_format", "text")], read(TALK)).text()
        answer = SERVER.post("/inference", [("temperature", "0.0"), ("temperature_inc", "0.2")],
                             read(TALK))
        self.assertEqual(answer.json(), {"text": text})
        verbose = SERVER.post("/inference", [("response_format", "verbose_json")], read(TALK)).json()
        self.assertEqual("".join(s["text"] + "\n" for s in verbose["segments"]), text)
        self.assertEqual(verbose["language"], verbose["detected_language"])
        self.assertTrue(all(s["words"] for s in verbose["segments"]))
        chances = verbose["language_probabilities"]
        self.assertEqual(max(chances.values()), verbose["detected_language_probability"])
        self.assertTrue(0.9 < sum(chances.values()) < 1.001 and min(chances.values()) > 0.001)
        bare = SERVER.post("/inference", [("response_format", "verbose_json"),
                                          ("token_timestamps", "false"),
                                          ("no_language_probabilities", "true")], read(TALK)).json()
        self.assertFalse(any("words" in s for s in bare["segments"]))
        self.assertNotIn("language_probabilities", bare)

    def test_settings_without_a_counterpart_are_named(self):
        answer = SERVER.post("/inference", [("audio_ctx", "512")], read(NOTE))
        self.expect(answer, 400)
        self.assertIn("audio_ctx", answer.json()["error"])
        self.expect(SERVER.post("/inference", [("audio_ctx", "0"), ("max_len", "0")], read(NOTE)), 200)


class Models(Case):
    def test_list_and_one(self):
        listed = SERVER.ask("GET", "/v1/models").json()
        self.assertEqual(listed["object"], "list")
        standard = [model for model in listed["data"] if model["default"]]
        self.assertEqual(len(standard), 1)
        self.assertEqual(standard[0]["object"], "model")
        one = SERVER.ask("GET", "/v1/models/" + standard[0]["id"]).json()
        self.assertEqual(one, standard[0])
        self.assertEqual(SERVER.ask("GET", "/v1/models/whisper-1").json()["id"], "whisper-1")
        self.expect_error(SERVER.ask("GET", "/v1/models/none"), 404, "model", code="model_not_found")

    def test_the_document_names_every_route(self):
        document = SERVER.ask("GET", "/openapi.json").json()
        self.assertTrue(document["openapi"].startswith("3."))
        for path in (TRANSCRIPTIONS, "/v1/audio/translations", "/inference", "/v1/models",
                     "/v1/models/{id}", "/v1/stream", "/health", "/ready", "/sessions", "/stats",
                     "/metrics"):
            self.assertIn(path, document["paths"])
        properties = document["paths"][TRANSCRIPTIONS]["post"]["requestBody"]["content"][
            "multipart/form-data"]["schema"]["properties"]
        samples = {"chunking_strategy": "auto", "include": "logprobs", "language": "en",
                   "languages": "en", "timestamp_granularities": "segment"}
        for name, schema in properties.items():
            if name == "file":
                continue
            value = samples.get(name) or str(schema.get("default", schema.get("minimum", "x")))
            value = {"True": "true", "False": "false"}.get(value, value)
            answer = SERVER.transcribe([(name, value)] if name != "model" else [("model", "whisper-1")],
                                       read(NOTE))
            self.expect(answer, 200)


class Together(Case):
    def test_many_at_once_hear_what_one_alone_hears(self):
        files = [read(NOTE), read(TALK)]
        alone = [SERVER.transcribe(file=file).json()["text"] for file in files]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda i: SERVER.transcribe(file=files[i % 2]), range(16)))
        for i, answer in enumerate(answers):
            self.expect(answer, 200)
            self.assertEqual(answer.json()["text"], alone[i % 2])

    def test_a_client_that_leaves_ends_its_work(self):
        body, content_type = form([], long_talk(240))
        with socket.create_connection(("127.0.0.1", SERVER.port), timeout=30) as client:
            client.sendall(f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}"
                           f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: sessions() > 0)
        until(lambda: sessions() == 0, 3)


def sessions():
    return len(SERVER.ask("GET", "/sessions").json()["sessions"])


def long_talk(seconds):
    """The demo's note again and again, in mu-law at 8 kHz, to stay below the limit of an upload."""
    with wave.open(NOTE) as file:
        rate, width = file.getframerate(), file.getsampwidth()
        frames = file.readframes(file.getnframes())
    assert width == 2
    step = max(1, round(rate / 8000))
    samples = memoryview(frames).cast("h")[::file.getnchannels()][::step].tolist()
    data = bytes(mu_law(sample) for sample in samples)
    return au(rate // step, (data * (seconds * rate // step // len(data) + 1))[:seconds * rate // step])


def quiet_mu_law(seconds):
    return au(4000, b"\xff" * (4000 * seconds))


def au(rate, data):
    header = b".snd" + b"".join(n.to_bytes(4, "big") for n in (24, len(data), 1, rate, 1))
    return header + data


def mu_law(sample):
    sign = 0x80 if sample < 0 else 0
    value = min(abs(sample), 32635) + 132
    exponent = value.bit_length() - 8
    return ~(sign | exponent << 4 | (value >> (exponent + 3)) & 15) & 0xFF


if __name__ == "__main__":
    unittest.main()
