// Sound that may have to be sent again: everything that the server does not have for sure. Pure.

const RATE = 16_000;
const KEPT = 30 * RATE; // what is acknowledged, but would not survive a crash of the server
const MOST = 300 * RATE; // not acknowledged: ten megabytes

/** The newest sound of a stream, in the chunks in which it came. Places are counted in samples of all channels. */
export class AudioRing {
  #channels;
  #most;
  #chunks = []; // [{ at, end, pcm }] in order; where sound was skipped there is a hole
  #first = 0; // of #chunks, the first that is kept: chunks are taken away many at a time
  #end = 0;
  #acknowledged = 0;

  constructor(channels, { most = MOST } = {}) {
    this.#channels = channels;
    this.#most = most;
  }

  /** The place after the last sample. */
  get end() {
    return this.#end;
  }

  /** The first place that is still there. */
  get start() {
    return this.#chunks[this.#first]?.at ?? this.#end;
  }

  /** How many samples the server has not acknowledged. */
  get unacknowledged() {
    return this.#end - this.#acknowledged;
  }

  /** Put sound at the end. Returns false if there is no room for it: it leaves a hole of its length. */
  push(pcm) {
    const at = this.#end;
    this.#end += pcm.length / this.#channels;
    if (this.#end - Math.max(this.start, this.#acknowledged) > this.#most) return false;
    this.#chunks.push({ at, end: this.#end, pcm });
    return true;
  }

  /** The sound from a place on, to the end of its chunk: { at, end, pcm }. `at` is later where there is none. Else null. */
  read(place) {
    const chunks = this.#chunks;
    let [low, high] = [this.#first, chunks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (chunks[middle].end <= place) low = middle + 1;
      else high = middle;
    }
    const found = chunks[low];
    if (!found) return null;
    if (found.at >= place) return found;
    return { at: place, end: found.end, pcm: found.pcm.subarray((place - found.at) * this.#channels) };
  }

  /** The server has everything before this place; `durable`: and will still have it after a crash. */
  acknowledge(place, durable) {
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(place, this.#end));
    this.#dropBefore(durable ? this.#acknowledged : Math.min(this.#acknowledged, this.#end - KEPT));
  }

  /** The server wants to go on at this place, whatever it acknowledged before. Returns where that is possible. */
  rewind(place) {
    this.#acknowledged = Math.min(Math.max(place, this.start), this.#end);
    return this.#acknowledged;
  }

  #dropBefore(place) {
    while (this.#first < this.#chunks.length && this.#chunks[this.#first].end <= place) this.#first++;
    if (this.#first <= 256) return;
    this.#chunks.splice(0, this.#first);
    this.#first = 0;
  }
}
