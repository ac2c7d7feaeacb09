// The words on the page, and the sound beside them.

export function clock(seconds, marker = ".", hours = false) {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(ms / 3600000);
  const rest = `${two(Math.floor(ms / 60000) % 60)}:${two(Math.floor(ms / 1000) % 60)}`;
  const whole = hours || h ? `${two(h)}:${rest}` : rest;
  return marker ? `${whole}${marker}${String(ms % 1000).padStart(3, "0")}` : whole;
}

export class Transcript {
  constructor(list, partial, player) {
    this.list = list;
    this.partial = partial;
    this.player = player;
    this.clear();
    player.addEventListener("timeupdate", () => this.follow());
  }

  clear() {
    this.segments = [];
    this.rows = [];
    this.language = "";
    this.list.replaceChildren();
    this.partial.replaceChildren();
    if (this.player.src) URL.revokeObjectURL(this.player.src);
    this.player.removeAttribute("src");
    this.player.hidden = true;
  }

  play(blob) {
    this.player.src = URL.createObjectURL(blob);
    this.player.hidden = false;
  }

  add(segment) {
    const row = document.createElement("button");
    const time = document.createElement("time");
    const text = document.createElement("span");
    row.type = "button";
    time.textContent = clock(segment.start, "");
    text.lang = this.language;
    text.dir = "auto";
    this.fill(text, segment);
    row.append(time, text);
    row.onclick = () => this.seek(segment.start);
    const item = document.createElement("li");
    item.append(row);
    this.list.append(item);
    this.segments.push(segment);
    this.rows.push(row);
  }

  // Words get an element each, so that they can be shown as they are spoken.
  fill(element, segment) {
    if (!segment.words.length) {
      element.textContent = segment.text.trim();
      return;
    }
    segment.words.forEach((word, index) => {
      const span = document.createElement("span");
      span.className = "word";
      span.textContent = word.word.trim();
      if (index && this.spaced(segment)) element.append(" ");
      element.append(span);
    });
  }

  spaced(segment) {
    return /\s/.test(segment.text.trim());
  }

  seek(seconds) {
    if (this.player.hidden) return;
    this.player.currentTime = seconds;
    this.player.play().catch(() => {});
  }

  showPartial(text, stable) {
    const firm = document.createElement("b");
    firm.textContent = text.slice(0, stable);
    this.partial.replaceChildren(firm, text.slice(stable));
  }

  follow() {
    const now = this.player.currentTime;
    this.segments.forEach((segment, i) => {
      const current = now >= segment.start && now < segment.end;
      this.rows[i].setAttribute("aria-current", current);
      const words = this.rows[i].querySelectorAll(".word");
      words.forEach((word, j) => {
        const { start, end } = segment.words[j];
        word.classList.toggle("now", current && now >= start && now < end);
      });
    });
  }
}
