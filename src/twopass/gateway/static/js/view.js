// The transcript as a person reads it: one paragraph per utterance, in the order of speech.

import { clock, duration } from "./formats.js";
import { channelLabel, compare, textOf, turns } from "./protocol.js";
import { byId, element } from "./dom.js";

const NEAR_THE_END = 48; // pixels: whoever is this close wants to stay at the bottom
const ANNOUNCED = 4;

export class TranscriptView {
  #pane = byId("transcript");
  #list = byId("utterances");
  #empty = byId("empty");
  #announcer = byId("announcer");
  #latest = byId("latest");
  #rows = new Map(); // id -> { node, segment }
  #follows = true;
  #sticking = false;
  #top = 0;

  constructor() {
    this.#pane.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#latest.addEventListener("click", () => this.jump());
    // Turning a phone or opening a panel changes the height without a scroll.
    new ResizeObserver(() => this.#stick()).observe(this.#pane);
  }

  clear() {
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#announcer.replaceChildren();
    this.#empty.hidden = false;
    this.#follow(true);
  }

  /** Show a revision. `before` is the revision that it replaces. */
  show(segment, before, { separate = false } = {}) {
    const row = this.#rows.get(segment.id);
    if (!segment.words.length) {
      // The second pass found that nobody spoke.
      row?.node.remove();
      this.#rows.delete(segment.id);
      return;
    }
    this.#empty.hidden = true;
    const fresh = { node: utterance(segment, before, separate), segment };
    if (row && compare(row.segment, segment) === 0) row.node.replaceWith(fresh.node);
    else {
      row?.node.remove();
      this.#place(fresh);
    }
    this.#rows.set(segment.id, fresh);
    if (segment.status === "final") this.#announce(segment, separate);
    this.#stick();
  }

  /** Sound that never came: a small mark where it is missing. */
  showGap({ from, to }) {
    const segment = { id: `gap-${from}`, start: from, channel: -1 };
    if (this.#rows.has(segment.id)) return;
    this.#empty.hidden = true;
    const said = `${duration(to - from)} of sound did not arrive`;
    const side = element("div", { className: "side" }, element("time", {}, clock(from)));
    const node = element("div", { className: "gap" }, side, element("p", {}, said));
    node.dataset.id = segment.id;
    this.#rows.set(segment.id, { node, segment });
    this.#place({ node, segment });
    this.#say(element("p", {}, said));
    this.#stick();
  }

  jump() {
    this.#follow(true);
    this.#stick();
  }

  /** From the end: a new utterance is nearly always the last one. */
  #place({ node, segment }) {
    let next = null;
    let last = this.#list.lastElementChild;
    while (last && compare(this.#rows.get(last.dataset.id).segment, segment) > 0) {
      next = last;
      last = last.previousElementSibling;
    }
    this.#list.insertBefore(node, next);
  }

  /** Screen readers hear finals only: words that still change would be read again and again. */
  #announce(segment, separate) {
    const who = separate ? `${channelLabel(segment)}: ` : "";
    this.#say(element("p", tongue(segment), who + textOf(segment.words)));
  }

  #say(text) {
    this.#announcer.append(text);
    while (this.#announcer.childElementCount > ANNOUNCED) this.#announcer.firstElementChild.remove();
  }

  #distance() {
    return this.#pane.scrollHeight - this.#pane.clientHeight - this.#pane.scrollTop;
  }

  /** Only going up lets go of the end: going down may be our own, and more words may have come since. */
  #scrolled() {
    const { scrollTop } = this.#pane;
    if (this.#distance() < NEAR_THE_END) this.#follow(true);
    else if (scrollTop < this.#top) this.#follow(false);
    this.#top = scrollTop;
  }

  #follow(follows) {
    this.#follows = follows;
    this.#latest.hidden = follows;
  }

  /** Once a frame: asking for the height makes the browser lay out the page, and words may come faster than frames. */
  #stick() {
    if (this.#sticking) return;
    this.#sticking = true;
    requestAnimationFrame(() => {
      this.#sticking = false;
      if (this.#follows) this.#pane.scrollTop = this.#pane.scrollHeight;
    });
  }
}

function utterance(segment, before, separate) {
  const side = element("div", { className: "side" }, element("time", {}, clock(segment.start)));
  if (separate) side.append(element("span", { className: "label" }, channelLabel(segment)));
  const said = element("p", { ...tongue(segment), dir: "auto" }, ...words(segment, before));
  const node = element("div", { className: "utterance" }, side, element("div", { className: "said" }, said));
  Object.assign(node.dataset, { id: segment.id, status: segment.status, source: segment.source });
  if (segment.degraded) node.lastChild.append(degraded(segment));
  return node;
}

/** The words as nodes. Neighbours that look alike share one node: a passage glows as one, and an hour of speech stays light. */
function words(segment, before) {
  const rewritten = new Set(segment.rewritten ?? []);
  const look = (index) => {
    if (rewritten.has(index)) return "rewritten";
    return segment.status === "interim" && index >= segment.stable ? "unstable" : "";
  };
  const nodes = [];
  let [run, index] = [null, 0];
  for (const { speaker, words: spoken } of turns(segment)) {
    if (speaker !== null) {
      nodes.push(index ? " " : "", element("span", { className: "speaker" }, `${speaker}: `));
      run = null;
    }
    for (const [place, word] of spoken.entries()) {
      const space = index && !word.glued && !(speaker !== null && place === 0) ? " " : "";
      if (run?.look === look(index)) {
        run.node.append(space + word.text);
      } else {
        run = { look: look(index), node: passage(look(index), word.text, before) };
        nodes.push(space, run.node);
      }
      index++;
    }
  }
  return nodes;
}

function passage(look, text, before) {
  if (look !== "rewritten") return element("span", { className: look }, text);
  const was = before?.words.length ? ` Before: “${textOf(before.words)}”` : "";
  return element("mark", { className: look, title: `Rewritten by the second pass.${was}` }, text);
}

/** So that a screen reader pronounces it well, where the language is known. */
function tongue({ language }) {
  return language ? { lang: language } : {};
}

/** A small mark. Its reason opens on hover and focus, and is read out with it. */
function degraded({ id, degraded: reason }) {
  const why = `The first pass’s words, not rewritten: ${reason}`;
  const tip = element("span", { className: "tip", role: "tooltip", id: `why-${id}` }, why);
  const mark = element("button", { type: "button", className: "degraded" }, "first pass only");
  mark.setAttribute("aria-describedby", tip.id);
  return element("div", { className: "aside" }, mark, tip);
}
