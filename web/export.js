// Transcripts as files.
import { clock } from "./transcript.js";

const TYPES = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", json: "application/json" };

export const asText = (segments) => segments.map((segment) => segment.text).join("").trim();

// "-->" and blank lines would end a cue.
const cueText = (text) => text.trim().replace(/-{2,}>/g, "->").replace(/\n\s*\n/g, "\n");

function cues(segments, marker, numbered) {
  return segments.map((segment, i) =>
    `${numbered ? `${i + 1}\n` : ""}${clock(segment.start, marker, numbered)} --> ` +
    `${clock(segment.end, marker, numbered)}\n${cueText(segment.text)}\n\n`).join("");
}

export function render(format, transcript) {
  const { segments, language } = transcript;
  switch (format) {
  case "srt": return cues(segments, ",", true);
  case "vtt": return `WEBVTT\n\n${cues(segments, ".", false)}`;
  case "json": return `${JSON.stringify({ text: asText(segments), language, segments }, null, 1)}\n`;
  default: return segments.map((segment) => `${segment.text.trim()}\n`).join("");
  }
}

export function save(name, format, transcript) {
  const link = document.createElement("a");
  const blob = new Blob([render(format, transcript)], { type: `${TYPES[format]};charset=utf-8` });
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
