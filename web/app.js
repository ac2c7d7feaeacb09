// The page: what a person does, and what the other modules make of it.
import { Transcript } from "./transcript.js";
import { save, asText } from "./export.js";
import { ServerError, listModels, needsKey, setKey, transcribe } from "./server.js";
import { Recording } from "./live.js";

const $ = (id) => document.getElementById(id);
const transcript = new Transcript($("segments"), $("partial"), $("player"));
let stop = null; // ends what is under way
let recording = null;
let name = "transcript";

// ---- Telling ----

function tell(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function busy(ending) {
  stop = ending;
  $("cancel").hidden = !ending;
  $("progress").hidden = !ending;
  if (ending) $("progress").removeAttribute("value");
}

function begin(title) {
  name = title.replace(/\.[^.]*$/, "") || "transcript";
  transcript.clear();
  $("work").hidden = false;
  $("save").hidden = true;
}

function done(started) {
  busy(null);
  const seconds = (performance.now() - started) / 1000;
  const words = asText(transcript.segments).split(/\s+/).filter(Boolean).length;
  const language = transcript.language ? ` in ${languageName(transcript.language)}` : "";
  tell(words ? `${words} words${language}, after ${seconds.toFixed(1)} s`
             : "No speech was found in this recording");
  $("save").hidden = !words;
}

async function failed(error) {
  busy(null);
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

async function open(file) {
  if (stop) stop();
  begin(file.name);
  const abort = new AbortController();
  const started = performance.now();
  busy(() => abort.abort());
  tell(`Sending ${file.name} …`);
  transcript.play(file);
  try {
    await transcribe(file, options(), abort.signal, {
      sent: (share) => {
        $("progress").value = share;
        if (share >= 1) {
          tell("Listening …");
          $("progress").removeAttribute("value");
        }
      },
      segment: (segment) => transcript.add(segment),
      language: (code) => { transcript.language = code; },
    });
    done(started);
  } catch (error) {
    failed(error);
  }
}

// ---- The microphone ----

async function record() {
  if (recording) {
    recording.finish();
    return;
  }
  if (stop) stop();
  begin("recording");
  const started = performance.now();
  recording = new Recording(options(), {
    partial: (text, stable) => transcript.showPartial(text, stable),
    segment: (segment) => transcript.add(segment),
    language: (code) => { transcript.language = code; },
    state: (text) => tell(text),
  });
  document.body.classList.add("recording");
  $("record").querySelector(".label").textContent = "Stop";
  busy(() => recording.finish());
  try {
    const audio = await recording.run();
    if (audio.size) transcript.play(audio);
    done(started);
  } catch (error) {
    failed(error);
  } finally {
    recording = null;
    document.body.classList.remove("recording");
    $("record").querySelector(".label").textContent = "Record";
    transcript.showPartial("", 0);
  }
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
  $("cancel").onclick = () => stop && stop();
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
    else if (event.key === "Escape" && stop) stop();
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
