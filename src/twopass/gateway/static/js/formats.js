// A transcript as txt, srt, vtt and json. Pure functions of final segments, so that a test can hold them to every edge.
//
// Cues follow what subtitle guides agree on: two lines of 42 characters, 7 seconds at most, one second at least.

import { channelLabel, textOf, turns } from "./protocol.js";

const LINE = 42;
const LONGEST_MS = 7000;
const SHORTEST_MS = 1000;
const LABEL = 20;

/** m:ss, and h:mm:ss from the first hour on. */
export function clock(ms) {
  const { h, m, s } = parts(ms);
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** For people: "0.4 s", "12 s", "2 min". */
export function duration(ms) {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 89_500 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}

/** One line per turn, with a name before it where there is one. */
export function toText(segments, { separate = false } = {}) {
  const lines = segments.flatMap((segment) => labelled(segment, separate))
    .map(({ label, words }) => (label ? `${label}: ${textOf(words)}` : textOf(words)));
  return lines.map((line) => `${line}\n`).join("");
}

/** The segments as the server sent them. */
export function toJson(segments) {
  return `${JSON.stringify(segments, null, 2)}\n`;
}

export function toSrt(segments, options) {
  // Players know no escape for the arrow, and it would start a new cue.
  const plain = (line) => line.replaceAll("-->", "→");
  return cues(segments, options).map(({ start, end, label, words }, index) => {
    const text = lines(named(label, words)).map(plain).join("\n");
    return `${index + 1}\n${stamp(start, ",")} --> ${stamp(end, ",")}\n${text}\n`;
  }).join("\n");
}

export function toVtt(segments, options) {
  const safe = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return ["WEBVTT\n", ...cues(segments, options).map(({ start, end, label, words }) => {
    const text = lines(words).map(safe).join("\n");
    const voice = label ? `<v ${safe(label)}>` : "";
    return `${stamp(start, ".")} --> ${stamp(end, ".")}\n${voice}${text}\n`;
  })].join("\n");
}

/** Subtitle cues [{ start, end, channel, label, words }] in the order of their start. */
export function cues(segments, { separate = false } = {}) {
  const found = segments.flatMap((segment) => labelled(segment, separate).flatMap(cut));
  found.sort((a, b) => a.start - b.start || a.channel - b.channel);
  const nextStart = new Map(); // by channel: two people may speak at once, one may not
  for (const cue of found.toReversed()) {
    const border = nextStart.get(cue.channel) ?? Infinity;
    const wanted = Math.min(Math.max(cue.end, cue.start + SHORTEST_MS), cue.start + LONGEST_MS, border);
    nextStart.set(cue.channel, cue.start);
    cue.end = Math.max(wanted, cue.start + 1);
  }
  return found;
}

/** The turns of a segment with the name to write before them. Turns without words say nothing and are left out. */
function labelled(segment, separate) {
  const channel = segment.channel ?? 0;
  return turns(segment).map(({ speaker, words }) => ({
    channel,
    label: speaker ?? (separate ? channelLabel(segment) : null),
    words: words.map((word) => ({ ...word, text: word.text.replace(/\s+/g, " ").trim() })).filter((word) => word.text),
  })).filter(({ words }) => words.length);
}

function cut({ channel, label: name, words }) {
  const label = name && [...name].slice(0, LABEL).join("");
  const found = [];
  let current = [];
  const close = (count) => {
    const taken = current.slice(0, count);
    found.push({ start: taken[0].start, end: taken.at(-1).end, channel, label, words: taken });
    current = current.slice(count);
  };
  for (const word of words.flatMap(bites)) {
    while (current.length && !fits(label, [...current, word])) close(bestBreak(current));
    current.push(word);
  }
  while (current.length) close(current.length);
  return found;
}

/** A word longer than a line (a URL, a script without spaces), cut into lines with its time shared out. */
function bites(word) {
  const letters = [...word.text];
  if (letters.length <= LINE) return [word];
  const at = (index) => Math.round(word.start + ((word.end - word.start) * index) / letters.length);
  return Array.from({ length: Math.ceil(letters.length / LINE) }, (_, index) => {
    const [from, to] = [index * LINE, Math.min((index + 1) * LINE, letters.length)];
    return { ...word, text: letters.slice(from, to).join(""), start: at(from), end: at(to), glued: index > 0 || word.glued };
  });
}

function fits(label, words) {
  return words.at(-1).end - words[0].start <= LONGEST_MS && lines(named(label, words)).every((line) => width(line) <= LINE);
}

/** How many words to take: to the last comma or full stop in the second half, so that no cue ends on a loose "the". */
function bestBreak(words) {
  const last = words.findLastIndex((word) => /[.,;:?!…。、，？！]$/.test(word.text));
  return last + 1 > words.length / 2 ? last + 1 : words.length;
}

function named(label, words) {
  return label ? [{ text: `${label}:` }, ...words] : words;
}

/** One line if it fits; else two, as even as can be, broken after punctuation where that costs little. */
function lines(words) {
  const whole = textOf(words);
  if (width(whole) <= LINE || words.length < 2) return [whole];
  const cost = ([left, right]) => {
    const longest = Math.max(width(left), width(right));
    return longest > LINE ? longest * 100 : longest - (/[.,;:?!]$/.test(left) ? 8 : 0);
  };
  const breaks = words.slice(1).map((_, index) => [textOf(words.slice(0, index + 1)), textOf(words.slice(index + 1))]);
  return breaks.reduce((best, pair) => (cost(pair) < cost(best) ? pair : best));
}

function width(text) {
  return [...text].length;
}

function stamp(ms, point) {
  const { h, m, s, rest } = parts(ms);
  return `${two(h)}:${two(m)}:${two(s)}${point}${String(rest).padStart(3, "0")}`;
}

function parts(ms) {
  const whole = Math.max(0, Math.round(ms));
  const s = Math.floor(whole / 1000);
  return { h: Math.floor(s / 3600), m: Math.floor(s / 60) % 60, s: s % 60, rest: whole % 1000 };
}

function two(number) {
  return String(number).padStart(2, "0");
}
