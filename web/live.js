// The microphone: recorded by the browser, sent as it comes, words back meanwhile.
import { ServerError, key, listModels, needsKey } from "./server.js";

const SLICE_MS = 250;
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

export class Recording {
  // tell: partial(text, stable), segment(segment), language(code), state(text)
  constructor(options, tell) {
    this.options = options;
    this.tell = tell;
    this.parts = [];
    this.ending = false;
    this.left = false;
  }

  address() {
    const query = new URLSearchParams({ encoding: "auto", interim_results: "true", words: "true" });
    if (this.options.model) query.set("model", this.options.model);
    if (this.options.language) query.set("language", this.options.language);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    return `${scheme}://${location.host}/v1/stream?${query}`;
  }

  // Until the last word is there; the recording as a Blob.
  async run() {
    this.tell.state("Asking for the microphone …");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    try {
      if (this.left) return new Blob();
      const type = TYPES.find((candidate) => MediaRecorder.isTypeSupported(candidate));
      this.recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
      await this.converse();
      return new Blob(this.parts, { type: this.recorder.mimeType });
    } finally {
      for (const track of stream.getTracks()) track.stop();
    }
  }

  finish() {
    this.ending = true;
    if (this.recorder && this.recorder.state !== "inactive") this.recorder.stop();
  }

  // Nobody waits for the last word.
  leave() {
    this.left = true;
    this.finish();
    if (this.socket) this.socket.close(1000);
  }

  // A browser does not tell why a server refused a WebSocket: its other answers do.
  async lost() {
    try {
      await listModels();
    } catch (error) {
      if (needsKey(error)) return error;
    }
    return new ServerError(0, "The connection was lost");
  }

  converse() {
    return new Promise((resolve, reject) => {
      const protocols = key() ? ["token", key()] : [];
      const socket = this.socket = new WebSocket(this.address(), protocols);
      let sent = Promise.resolve();
      let failure = null;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.tell.state("Listening …");
        this.recorder.start(SLICE_MS);
        if (this.ending) this.recorder.stop();
      };
      this.recorder.ondataavailable = (event) => {
        if (!event.data.size) return;
        this.parts.push(event.data);
        sent = sent.then(async () => socket.send(await event.data.arrayBuffer()));
      };
      this.recorder.onstop = () => {
        this.tell.state("Hearing the rest …");
        sent.then(() => socket.readyState === WebSocket.OPEN &&
                        socket.send(JSON.stringify({ type: "CloseStream" })));
      };
      socket.onmessage = (message) => {
        const event = JSON.parse(message.data);
        if (event.type === "Error") failure = new ServerError(500, event.message || event.description);
        else this.take(event);
      };
      socket.onclose = (event) => {
        if (this.recorder.state !== "inactive") this.recorder.stop();
        if (failure) reject(failure);
        else if (event.code === 1000) resolve();
        else if (event.reason) reject(new ServerError(0, event.reason));
        else this.lost().then(reject);
      };
    });
  }

  take(event) {
    if (event.type !== "Results") return;
    const best = event.channel.alternatives[0];
    if (best.languages && best.languages[0]) this.tell.language(best.languages[0]);
    if (!event.is_final) {
      this.tell.partial(best.transcript, best.stable_length || 0);
      return;
    }
    this.tell.partial("", 0);
    if (best.transcript.trim())
      this.tell.segment({
        start: event.start,
        end: event.start + event.duration,
        text: best.transcript,
        words: (best.words || []).map((w) => ({ word: w.punctuated_word || w.word, start: w.start, end: w.end })),
      });
  }
}
