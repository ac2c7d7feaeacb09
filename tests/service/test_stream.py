"""/v1/stream of the real program, by a client library others use (python3-websockets): keys, the way
from audio to words and back, and what becomes of live sessions when the server ends."""

import asyncio
import json
import os
import sys
import unittest
import wave

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "service"))
import server  # noqa: E402

try:
    import websockets
except ImportError:
    websockets = None

KEY = "0123456789abcdef0123"
SPEECH = "/usr/share/sounds/alsa/Front_Center.wav"


def pcm():
    with wave.open(SPEECH) as file:
        return file.readframes(file.getnframes())


def pieces(data, n=9600):
    return [data[i:i + n] for i in range(0, len(data), n)]


async def collect(socket):
    events = []
    try:
        async for message in socket:
            events.append(json.loads(message))
    except websockets.ConnectionClosed:
        pass
    return events


def words_of(events):
    return " ".join(event["channel"]["alternatives"][0]["transcript"] for event in events
                    if event["type"] == "Results" and event["is_final"])


@unittest.skipUnless(websockets, "python3-websockets is not installed")
@unittest.skipUnless(os.path.exists(SPEECH), "no recorded speech: install alsa-utils")
class Stream(unittest.TestCase):
    def connect(self, running, query="", **more):
        return websockets.connect(
            f"ws://127.0.0.1:{running.port}/v1/stream?encoding=linear16&sample_rate=48000"
            f"&language=en{query}", **more)

    def test_a_key_is_asked_for_and_words_come(self):
        async def talk(running):
            for more in ({}, {"subprotocols": ["token", "wrong-key-0123456789"]}):
                with self.assertRaises(websockets.InvalidStatusCode) as caught:
                    async with self.connect(running, **more):
                        pass
                self.assertEqual(caught.exception.status_code, 401)
            for more in ({"subprotocols": ["token", KEY]},
                         {"extra_headers": {"Authorization": f"Bearer {KEY}"}}):
                async with self.connect(running, **more) as socket:
                    for piece in pieces(pcm()):
                        await socket.send(piece)
                    await socket.send('{"type": "CloseStream"}')
                    events = await collect(socket)
                    self.assertTrue(words_of(events))
                    self.assertEqual(events[-1]["type"], "Metadata")
                    self.assertEqual(socket.close_code, 1000)

        with server.Server(env={"AURICLE_API_KEYS": f"test:{KEY}"}) as running:
            asyncio.run(talk(running))
            self.assertEqual(running.stop(), 0, running.text())

    def test_live_sessions_say_their_last_words_when_the_server_ends(self):
        async def talk(running):
            async with self.connect(running) as socket:
                opening = json.loads(await socket.recv())
                self.assertEqual(opening["type"], "Open")
                for piece in pieces(pcm()):
                    await socket.send(piece)
                await socket.ping()
                stop = asyncio.get_running_loop().run_in_executor(None, running.stop)
                events = await collect(socket)
                self.assertEqual(await stop, 0)
                self.assertTrue(words_of(events))
                self.assertEqual(events[-1]["type"], "Metadata")
                self.assertEqual(socket.close_code, 1000)

        with server.Server() as running:
            asyncio.run(talk(running))

    def test_silence_and_coming_back_have_their_settings(self):
        async def talk(running):
            async with self.connect(running) as socket:
                self.assertEqual(json.loads(await socket.recv())["resume_seconds"], 7)
                events = await collect(socket)
                self.assertEqual((events[-1]["type"], events[-1]["code"]), ("Error", "idle"))
                self.assertEqual(socket.close_code, 1011)

        with server.Server("--live-idle", "1", env={"LIVE_RESUME_SECONDS": "7"}) as running:
            asyncio.run(talk(running))

    def test_nobody_comes_back_where_that_is_turned_off(self):
        async def talk(running):
            socket = await self.connect(running)
            opening = json.loads(await socket.recv())
            self.assertEqual(opening["resume_seconds"], 0)
            socket.transport.abort()
            with self.assertRaises(websockets.InvalidStatusCode) as caught:
                async with self.connect(running, query=f"&resume={opening['session_id']}"):
                    pass
            self.assertEqual(caught.exception.status_code, 404)

        with server.Server("--live-resume", "0") as running:
            asyncio.run(talk(running))

    def test_it_can_be_left_out(self):
        async def talk(running):
            with self.assertRaises(websockets.InvalidStatusCode) as caught:
                async with self.connect(running):
                    pass
            self.assertEqual(caught.exception.status_code, 404)

        with server.Server("--no-websocket") as running:
            asyncio.run(talk(running))


if __name__ == "__main__":
    unittest.main()
