// The page in a real browser: a file, the microphone, keyboard, dark and narrow.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { chromium } from "playwright-core";

const url = process.env.AURICLE_URL;
const audio = process.env.AURICLE_AUDIO;
const folder = mkdtempSync(join(tmpdir(), "auricle-page-"));
const spoken = join(folder, "spoken.wav");
let browser;

before(async () => {
  // The fake microphone wants a WAV file; a talk and some silence, over and over.
  execFileSync("ffmpeg", ["-v", "error", "-i", audio, "-af", "apad=pad_dur=2", "-ar", "48000", spoken]);
  browser = await chromium.launch({
    executablePath: process.env.AURICLE_BROWSER,
    args: ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-audio-capture=${spoken}`],
  });
});

after(() => browser && browser.close());

async function openPage(options = {}) {
  const context = await browser.newContext({ permissions: ["microphone", "clipboard-write"], ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  page.on("request", (request) => {
    if (!/^(blob:|data:)/.test(request.url()) && new URL(request.url()).origin !== url)
      page.complaints.push(`asked elsewhere: ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

async function heard() {
  const form = new FormData();
  form.append("file", new Blob([readFileSync(audio)]), "talk.flac");
  const answer = await fetch(`${url}/v1/audio/transcriptions`, { method: "POST", body: form });
  return (await answer.json()).text;
}

const words = async (page) => (await page.locator("#segments span[dir]").allInnerTexts()).join(" ");
const flat = (text) => text.replace(/\s+/g, " ").trim();

test("a file becomes words, and words become files", async () => {
  const page = await openPage();
  await page.setInputFiles("#file", audio);
  await page.locator("#save").waitFor({ state: "visible", timeout: 60000 });
  assert.equal(flat(await words(page)), flat(await heard()));
  assert.match(await page.locator("#status").innerText(), /words/);
  assert.ok(await page.locator("#player").isVisible());
  for (const [format, begin] of [["srt", /^1\n00:00:\d\d,\d{3} --> /], ["vtt", /^WEBVTT\n\n/], ["txt", /\S/], ["json", /^\{/]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(`[data-format=${format}]`)]);
    assert.equal(download.suggestedFilename(), `talk.${format}`);
    assert.match(readFileSync(await download.path(), "utf8"), begin);
  }
  await page.locator("#segments button").first().click();
  await page.waitForFunction(() => !document.getElementById("player").paused);
  assert.deepEqual(page.complaints, []);
});

test("the microphone is heard while it is spoken into", async () => {
  const page = await openPage();
  await page.keyboard.press("r");
  await page.waitForFunction(
    () => document.getElementById("segments").childElementCount > 0 ||
          document.getElementById("partial").textContent.trim() !== "", null, { timeout: 60000 });
  await page.waitForFunction(() => document.getElementById("segments").childElementCount > 0, null, { timeout: 60000 });
  await page.keyboard.press("Escape");
  await page.locator("#save").waitFor({ state: "visible", timeout: 60000 });
  assert.ok((await words(page)).trim().length > 0);
  assert.ok(await page.locator("#player").isVisible());
  assert.deepEqual(page.complaints, []);
});

test("a second file takes the place of the first", async () => {
  const page = await openPage();
  const held = [];
  await page.route("**/v1/audio/transcriptions", (route) => held.push(route));
  await page.setInputFiles("#file", { name: "first.wav", mimeType: "audio/wav", buffer: Buffer.from("first") });
  while (held.length < 1) await page.waitForTimeout(20);
  await page.setInputFiles("#file", audio);
  while (held.length < 2) await page.waitForTimeout(20);
  assert.ok(await page.locator("#cancel").isVisible(), "no Stop button");
  assert.doesNotMatch(await page.locator("#status").innerText(), /Stopped/);
  await held[1].continue();
  await page.locator("#save").waitFor({ state: "visible", timeout: 60000 });
  assert.equal(flat(await words(page)), flat(await heard()));
});

test("a file dropped while somebody speaks gets none of their words", async () => {
  const page = await openPage();
  await page.keyboard.press("r");
  await page.waitForFunction(() => document.getElementById("partial").textContent.trim() !== "" ||
    document.getElementById("segments").childElementCount > 0, null, { timeout: 60000 });
  await page.setInputFiles("#file", audio);
  assert.equal(await page.locator("#record .label").innerText(), "Record");
  await page.locator("#save").waitFor({ state: "visible", timeout: 60000 });
  assert.equal(flat(await words(page)), flat(await heard()));
  assert.match(await page.locator("#status").innerText(), /words/);
});

test("a live session that is refused asks for no key where none is wanted", async () => {
  const page = await openPage();
  await page.evaluate(() => {
    document.getElementById("model").add(new Option("none", "none"));
    document.getElementById("model").value = "none";
  });
  await page.keyboard.press("Escape"); // nothing is under way
  await page.click("#record");
  await page.locator("#status.bad").waitFor();
  assert.match(await page.locator("#status").innerText(), /connection was lost/);
  assert.ok(!await page.locator("#key-dialog").isVisible());
});

test("what is no recording is told in a sentence", async () => {
  const page = await openPage();
  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no recording") });
  await page.locator("#status.bad").waitFor();
  assert.match(await page.locator("#status").innerText(), /notes\.txt/);
});

test("everything can be reached and read without a mouse or eyes", async () => {
  const page = await openPage();
  const unnamed = await page.evaluate(() => [...document.querySelectorAll("button, select, input:not([hidden])")]
    .filter((e) => e.offsetParent && !(e.innerText || e.labels?.length || e.ariaLabel)).map((e) => e.id));
  assert.deepEqual(unnamed, []);
  const reached = new Set();
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.id));
  }
  for (const id of ["model", "language", "translate", "open", "record"]) assert.ok(reached.has(id), id);
});

test("dark, light and narrow", async () => {
  const colours = [];
  for (const colorScheme of ["dark", "light"]) {
    const page = await openPage({ colorScheme, viewport: { width: 360, height: 700 } });
    colours.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "scrolls sideways");
  }
  assert.notEqual(colours[0], colours[1]);
});
