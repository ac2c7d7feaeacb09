// Talking to the server over HTTP.

export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const needsKey = (error) => error.status === 401;
export const key = () => sessionStorage.getItem("auricle-key") || "";
export const setKey = (value) => sessionStorage.setItem("auricle-key", value);
const headers = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

function sentence(status, body) {
  try {
    return JSON.parse(body).error.message;
  } catch {
    return status ? `The server answered ${status}` : "The server cannot be reached";
  }
}

export async function listModels() {
  const response = await fetch("/v1/models", { headers: headers() });
  const body = await response.text();
  if (!response.ok) throw new ServerError(response.status, sentence(response.status, body));
  return JSON.parse(body).data;
}

function formOf(file, options) {
  const form = new FormData();
  if (options.model) form.append("model", options.model);
  if (!options.translate) {
    if (options.language) form.append("language", options.language);
    form.append("stream", "true");
    form.append("timestamp_granularities[]", "word");
    form.append("timestamp_granularities[]", "segment");
  } else {
    form.append("response_format", "verbose_json");
  }
  form.append("file", file, file.name);
  return form;
}

// Hands each event of a stream on, as soon as its last line is there.
class Events {
  constructor(take) {
    this.take = take;
    this.seen = 0;
  }

  feed(text) {
    for (;;) {
      const end = text.indexOf("\n\n", this.seen);
      if (end < 0) return;
      const event = text.slice(this.seen, end);
      this.seen = end + 2;
      if (event.startsWith("data: ")) this.take(JSON.parse(event.slice(6)));
    }
  }
}

function takeEvent(event, tell) {
  if (event.error) throw new ServerError(500, event.error.message);
  if (event.type === "transcript.text.delta")
    tell.segment({ start: event.start, end: event.end, text: event.delta, words: event.words || [] });
  else if (event.type === "transcript.text.done" && event.languages && event.languages[0])
    tell.language(event.languages[0].code);
}

function takeWhole(body, tell) {
  const answer = JSON.parse(body);
  for (const s of answer.segments)
    tell.segment({ start: s.start, end: s.end, text: s.text, words: [] });
}

// XMLHttpRequest, because fetch does not tell how much of an upload has gone out.
export function transcribe(file, options, signal, tell) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const events = new Events((event) => takeEvent(event, tell));
    const streaming = () => (request.getResponseHeader("Content-Type") || "").startsWith("text/event-stream");
    const guarded = (work) => {
      try {
        work();
      } catch (error) {
        reject(error);
        request.abort();
      }
    };
    request.open("POST", options.translate ? "/v1/audio/translations" : "/v1/audio/transcriptions");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && tell.sent(event.loaded / event.total);
    request.onprogress = () => request.status === 200 && streaming() && guarded(() => events.feed(request.responseText));
    request.onload = () => guarded(() => {
      if (request.status !== 200)
        throw new ServerError(request.status, sentence(request.status, request.responseText));
      if (streaming()) events.feed(request.responseText);
      else takeWhole(request.responseText, tell);
      resolve();
    });
    request.onerror = () => reject(new ServerError(0, sentence(0, "")));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(formOf(file, options));
  });
}
