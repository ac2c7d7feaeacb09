// OpenAI's own client against a running server: AURICLE_URL says where, AURICLE_AUDIO what to send.
import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import http from "node:http";
import test from "node:test";
import OpenAI, { APIError, NotFoundError, BadRequestError, toFile } from "openai";

const baseURL = `${process.env.AURICLE_URL}/v1`;
const client = new OpenAI({ baseURL, apiKey: process.env.AURICLE_KEY || "none" });
const audio = () => createReadStream(process.env.AURICLE_AUDIO);
const ask = (more) => client.audio.transcriptions.create({ model: "whisper-1", file: audio(), ...more });

test("json", async () => {
  const answer = await ask({});
  assert.equal(typeof answer.text, "string");
  assert.ok(answer.text.length > 0);
  assert.equal(answer.usage.type, "duration");
});

test("every format", async () => {
  const { text } = await ask({});
  assert.equal((await ask({ response_format: "text" })).trim(), text);
  assert.match(await ask({ response_format: "srt" }), /^1\n\d\d:\d\d:\d\d,\d{3} --> /);
  assert.match(await ask({ response_format: "vtt" }), /^WEBVTT\n\n/);
  const verbose = await ask({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] });
  assert.equal(verbose.text, text);
  assert.ok(verbose.words.length > 0 && verbose.segments.length > 0);
  assert.equal(typeof verbose.duration, "number");
});

test("the fields of newer models", async () => {
  const answer = await ask({ model: "gpt-4o-transcribe", include: ["logprobs"], prompt: "A talk.",
    temperature: 0, chunking_strategy: { type: "server_vad", threshold: 0.5, prefix_padding_ms: 300 } });
  assert.ok(answer.logprobs.every((token) => token.logprob <= 0 && token.bytes.length > 0));
});

test("streaming", async () => {
  const { text } = await ask({});
  const deltas = [];
  let done = null;
  for await (const event of await ask({ stream: true })) {
    if (event.type === "transcript.text.delta") deltas.push(event.delta);
    else if (event.type === "transcript.text.done") done = event;
  }
  assert.equal(deltas.join(""), text);
  assert.equal(done.text, text);
  assert.equal(done.usage.type, "tokens");
});

test("translations", async () => {
  const answer = await client.audio.translations.create({ model: "whisper-1", file: audio() });
  assert.equal(typeof answer.text, "string");
});

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.length > 0);
  assert.equal((await client.models.retrieve(ids[0])).id, ids[0]);
  await assert.rejects(client.models.retrieve("no-such-model"), NotFoundError);
});

test("errors come as the client's own", async () => {
  await assert.rejects(ask({ model: "no-such-model" }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.equal(error.param, "model");
    assert.ok(error.requestID);
    return true;
  });
  const noise = await toFile(Buffer.from("this is no recording"), "talk.mp3");
  await assert.rejects(ask({ file: noise }), BadRequestError);
  await assert.rejects(ask({ file: noise, stream: true }), (error) => error instanceof APIError);
});

// A proxy that answers twice with 503, as a full server does: the client tries again by itself.
test("retries", async () => {
  const target = new URL(process.env.AURICLE_URL);
  let tries = 0;
  const proxy = http.createServer((request, response) => {
    if (++tries <= 2) {
      request.resume();
      response.writeHead(503, { "retry-after-ms": "10", "content-type": "application/json" });
      response.end('{"error":{"message":"full","type":"server_error","param":null,"code":null}}');
      return;
    }
    const onward = http.request({ host: target.hostname, port: target.port, path: request.url,
      method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  try {
    const retrying = new OpenAI({ baseURL: `http://127.0.0.1:${proxy.address().port}/v1`, apiKey: "none" });
    const file = await toFile(readFileSync(process.env.AURICLE_AUDIO), "talk.flac"); // a stream is sent once
    const answer = await retrying.audio.transcriptions.create({ model: "whisper-1", file });
    assert.equal(answer.text, (await ask({})).text);
    assert.equal(tries, 3);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});
