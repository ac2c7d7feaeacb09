// The page: what a person does, and what the other modules make of it.
import { Transcript } from "./transcript.js";
import { save, asText } from "./export.js";
import { ServerError, listModels, needsKey, setKey, transcribe } from "./server.js";
import { Recording } from "./live.js";

const $ = (id) => document.getElementById(id);
const transcript = new Transcript($("segments"), $("partial"), $("player"));
let work = null; // what is under way; who was overtaken is not listened to any more
let recording = null;
let name = "transcript";

// ---- Telling ----

function tell(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function show(busy, microphone) {
  $("cancel").hidden = $("progress").hidden = !busy;
  $("progress").removeAttribute("value");
  document.body.classList.toggle("recording", microphone);
  $("record").querySelector(".label").textContent = microphone ? "Stop" : "Record";
}

// Something new: what was under way is left. stop: for its button; leave: at once. Returns what
// makes functions of this work: they do nothing once it is overtaken or over.
function begin(title, stop, leave = stop) {
  const mine = { stop, leave };
  if (work) work.leave();
  work = mine;
  recording = null;
  name = title.replace(/\.[^.]*$/, "") || "transcript";
  transcript.clear();
  $("work").hidden = false;
  $("save").hidden = true;
  show(true, false);
  return (act) => (...args) => { if (work === mine) act(...args); };
}

function end() {
  work = recording = null;
  show(false, false);
  transcript.showPartial("", 0);
}

function done(started) {
  end();
  const seconds = (performance.now() - started) / 1000;
  const words = asText(transcript.segments).split(/\s+/).filter(Boolean).length;
  const language = transcript.language ? ` in ${languageName(transcript.language)}` : "";
  tell(words ? `${words} words${language}, after ${seconds.toFixed(1)} s`
             : "No speech was found in this recording");
  $("save").hidden = !words;
}

function failed(error) {
  end();
  if (error.name === "AbortError") {
    tell("Stopped");
    $("save").hidden = transcript.segments.length === 0;
    return;
  }
  tell(error.message, true);
  if (error instanceof ServerError && needsKey(error)) askForKey();
}

function askForKey() {
  $("key-dialog").showModal();
}

// ---- A file ----

function options() {
  return {
    model: $("model").value,
    language: $("language").value,
    translate: $("translate").checked,
  };
}

function open(file) {
  const abort = new AbortController();
  const started = performance.now();
  const mine = begin(file.name, () => abort.abort());
  tell(`Sending ${file.name} …`);
  transcript.play(file);
  transcribe(file, options(), abort.signal, {
    sent: mine((share) => {
      $("progress").value = share;
      if (share >= 1) {
        tell("Listening …");
        $("progress").removeAttribute("value");
      }
    }),
    segment: mine((segment) => transcript.add(segment)),
    language: mine((code) => { transcript.language = code; }),
  }).then(mine(() => done(started)), mine(failed));
}

// ---- The microphone ----

function record() {
  if (recording) {
    recording.finish();
    return;
  }
  const started = performance.now();
  const mine = begin("recording", () => own.finish(), () => own.leave());
  const own = new Recording(options(), {
    partial: mine((text, stable) => transcript.showPartial(text, stable)),
    segment: mine((segment) => transcript.add(segment)),
    language: mine((code) => { transcript.language = code; }),
    state: mine((text) => tell(text)),
  });
  recording = own;
  show(true, true);
  own.run().then(mine((audio) => {
    if (audio.size) transcript.play(audio);
    done(started);
  }), mine(failed));
}

// ---- Settings ----

const CODES = ("en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu " +
  "ta no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw " +
  "gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as " +
  "tt haw ln ha ba jw su yue").split(" ");
const names = new Intl.DisplayNames(["en"], { type: "language" });

function languageName(code) {
  try {
    return names.of(code === "jw" ? "jv" : code);
  } catch {
    return code;
  }
}

function fillLanguages() {
  const entries = CODES.map((code) => [languageName(code), code]).sort((a, b) => a[0].localeCompare(b[0]));
  for (const [label, code] of entries) $("language").add(new Option(label, code));
}

async function fillModels() {
  try {
    for (const model of await listModels())
      $("model").add(new Option(model.id + (model.default ? " (default)" : ""), model.id));
  } catch (error) {
    if (error instanceof ServerError && needsKey(error)) askForKey();
  }
}

// ---- What a person does ----

function listen() {
  $("open").onclick = () => $("file").click();
  $("file").onchange = () => { if ($("file").files[0]) open($("file").files[0]); $("file").value = ""; };
  $("record").onclick = record;
  $("cancel").onclick = () => work && work.stop();
  $("copy").onclick = async () => {
    await navigator.clipboard.writeText(asText(transcript.segments));
    tell("Copied");
  };
  for (const button of document.querySelectorAll("[data-format]"))
    button.onclick = () => save(name, button.dataset.format, transcript);
  $("key-dialog").onclose = () => {
    if ($("key-dialog").returnValue !== "ok") return;
    setKey($("key").value);
    $("key").value = "";
    fillModels();
    tell("Try again with this key");
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || $("key-dialog").open) return;
    if (event.key === "o") $("open").click();
    else if (event.key === "r") record();
    else if (event.key === "Escape" && work) work.stop();
    else return;
    event.preventDefault();
  });
  let depth = 0;
  addEventListener("dragenter", () => document.body.classList.toggle("over", ++depth > 0));
  addEventListener("dragleave", () => document.body.classList.toggle("over", --depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    document.body.classList.remove("over");
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    $("record").disabled = true;
    $("record").title = "The microphone needs a secure page: https, or this machine itself";
  }
}

fillLanguages();
fillModels();
listen();
