// How late words are, measured where they are seen.
//
// A word's lateness is now less the moment when the last sample of that word was captured. Sound is captured at 16 samples a
// millisecond, so the moment of any sample follows from the moment of the chunk that held it.

const KEPT = 12_000; // chunks: ten minutes; what is later than that is not live

/** When which sample was captured. */
export class CaptureClock {
  #marks = []; // [{ sample, at }]: everything before `sample` was captured by `at`
  #forgot = false;

  mark(sample, at) {
    this.#marks.push({ sample, at });
    if (this.#marks.length <= KEPT) return;
    this.#marks.splice(0, KEPT / 2);
    this.#forgot = true;
  }

  /** The moment of a time of the session clock, or null if it is not known (any more). */
  momentOf(ms) {
    const sample = ms * 16;
    const marks = this.#marks;
    if (!marks.length) return null;
    // Times that a model guesses may lie a little ahead of the sound.
    if (sample >= marks.at(-1).sample) return marks.at(-1).at;
    let [low, high] = [0, marks.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle].sample < sample) low = middle + 1;
      else high = middle;
    }
    if (low === 0 && this.#forgot) return null;
    return marks[low].at - (marks[low].sample - sample) / 16;
  }
}

/** The lateness of first words and of finals, in milliseconds: { last, median }, null before there is one. */
export class Latencies {
  #clock;
  #seen = new Set();
  #figures = { partial: [], final: [] };
  partial = summary([]);
  final = summary([]);

  constructor(clock) {
    this.#clock = clock;
  }

  /** To be called when a segment is shown. */
  observe(segment, now) {
    if (!segment.words.length) return;
    if (segment.status === "final") {
      this.#note("final", segment.words.at(-1), now);
    } else if (!this.#seen.has(segment.id)) {
      this.#note("partial", segment.words[0], now);
    }
    this.#seen.add(segment.id);
  }

  #note(kind, word, now) {
    const moment = this.#clock.momentOf(word.end);
    if (moment === null) return;
    this.#figures[kind].push(Math.max(0, now - moment));
    this[kind] = summary(this.#figures[kind]);
  }
}

function summary(values) {
  if (!values.length) return { last: null, median: null };
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { last: values.at(-1), median };
}
