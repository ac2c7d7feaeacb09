// gRPC's own client for JavaScript against a running server: AURICLE_GRPC says where (host:port),
// AURICLE_AUDIO what to send, AURICLE_PROTO where the .proto files lie.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test, { after } from "node:test";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const definitions = ["auricle/v1/auricle.proto", "grpc/health/v1/health.proto",
  "grpc/reflection/v1/reflection.proto", "grpc/reflection/v1alpha/reflection.proto"]
  .map((file) => loader.loadSync(join(process.env.AURICLE_PROTO, file),
    { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true }));
const api = Object.assign({}, ...definitions.map(grpc.loadPackageDefinition));
const load = (definition) => grpc.loadPackageDefinition(definition);
const connect = (Service) => new Service(process.env.AURICLE_GRPC, grpc.credentials.createInsecure(),
  { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
const auricle = connect(api.auricle.v1.Auricle);
const health = connect(load(definitions[1]).grpc.health.v1.Health);
const clients = [auricle, health];
after(() => clients.forEach((client) => client.close()));

const audio = readFileSync(process.env.AURICLE_AUDIO);
const config = { temperatures: [0], language: "en" };
const soon = () => ({ deadline: Date.now() + 60000 });
const unary = (client, method, request, metadata = new grpc.Metadata()) =>
  new Promise((resolve, reject) => client[method](request, metadata, soon(),
    (error, answer) => (error ? reject(error) : resolve(answer))));
const all = async (stream) => {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
};

test("health", async () => {
  assert.equal((await unary(health, "Check", {})).status, "SERVING");
  const { statuses } = await unary(health, "List", {});
  assert.equal(statuses["auricle.v1.Auricle"].status, "SERVING");
  await assert.rejects(unary(health, "Check", { service: "nobody" }), { code: grpc.status.NOT_FOUND });
  const watch = health.Watch({});
  watch.on("error", (error) => assert.equal(error.code, grpc.status.CANCELLED));
  const first = await new Promise((resolve) => watch.once("data", resolve));
  assert.equal(first.status, "SERVING");
  watch.cancel();
});

test("reflection, both versions", async () => {
  for (const [i, version] of [[2, "v1"], [3, "v1alpha"]]) {
    const client = connect(load(definitions[i]).grpc.reflection[version].ServerReflection);
    clients.push(client);
    const stream = client.ServerReflectionInfo(soon());
    stream.write({ list_services: "*" });
    stream.write({ file_containing_symbol: "auricle.v1.Auricle" });
    stream.end();
    const [services, file] = await all(stream);
    assert.ok(services.list_services_response.service.some(({ name }) => name === "auricle.v1.Auricle"));
    assert.equal(file.file_descriptor_response.file_descriptor_proto.length, 1);
  }
});

test("a recording, whole and as a stream", async () => {
  const whole = await unary(auricle, "Transcribe", { audio, config });
  assert.ok(whole.text.length > 0);
  assert.equal(whole.language, "en");
  const events = await all(auricle.TranscribeStream({ audio, config }, soon()));
  assert.deepEqual(events.filter(({ event }) => event === "segment").map(({ segment }) => segment.text),
    whole.segments.map(({ text }) => text));
  assert.equal(events.at(-1).summary.text, whole.text);
});

test("live audio", async () => {
  const stream = auricle.Listen(soon());
  stream.write({ config: { recognition: config } });
  for (let at = 0; at < audio.length; at += 8000) stream.write({ audio: audio.subarray(at, at + 8000) });
  stream.end();
  const events = await all(stream);
  assert.ok(events[0].opened.session_id.length > 0);
  assert.ok(events.some(({ event }) => event === "final"));
  assert.ok(events.at(-1).closed.audio_seconds > 1);
});

test("errors say what and why", async () => {
  const rejected = async (request, code, word) => {
    const error = await unary(auricle, "Transcribe", request).then(() => null, (thrown) => thrown);
    assert.equal(error?.code, code);
    assert.match(error.details, word);
    return error.metadata.getMap();
  };
  const { "auricle-error": name } = await rejected({ audio: Buffer.alloc(3000) },
    grpc.status.INVALID_ARGUMENT, /recording/);
  assert.equal(name, "FORMAT");
  await rejected({ audio, config: { model: "nobody" } }, grpc.status.NOT_FOUND, /nobody/);
  await rejected({}, grpc.status.INVALID_ARGUMENT, /holds no audio/);
});

test("cancelling and deadlines", async () => {
  const raw = { raw: { rate_hz: 16000 } };
  const long = Buffer.alloc(16000 * 2 * 300, Buffer.from([1, 40, 7, 200, 90]));
  const stream = auricle.TranscribeStream({ audio: long, config: raw }, soon());
  const ended = new Promise((resolve) => stream.on("error", resolve));
  stream.once("data", () => stream.cancel());
  assert.equal((await ended).code, grpc.status.CANCELLED);
  const late = await new Promise((resolve) => auricle.Transcribe({ audio: long, config: raw },
    { deadline: Date.now() + 50 }, (error) => resolve(error)));
  assert.equal(late.code, grpc.status.DEADLINE_EXCEEDED);
});

test("request id and models", async () => {
  const metadata = new grpc.Metadata();
  metadata.set("x-request-id", "from-js-1");
  const call = auricle.ListModels({}, metadata, soon(), () => {});
  const headers = await new Promise((resolve) => call.on("metadata", resolve));
  assert.deepEqual(headers.get("x-request-id"), ["from-js-1"]);
  assert.ok((await unary(auricle, "ListModels", {})).models.some((model) => model.is_default));
});
