// From the sound card's rate to 16 kHz, as the sound comes.
//
// Browsers differ in whether a microphone may feed an AudioContext of another rate, so the page resamples by itself:
// a windowed sinc, which takes away what lies above 8 kHz before it could fold back into speech.

const ZERO_CROSSINGS = 16;
const PASSBAND = 0.94; // of the lower Nyquist frequency; the rest is the filter's slope

export class Resampler {
  #step; // input samples between two output samples are step / phases
  #phases;
  #table; // per phase: the weights of the 2 * half input samples around an output sample
  #half;
  #held; // input that later output samples still need
  #at = 0; // of the next output sample, in phases from the start of #held

  constructor(from, to) {
    const divisor = gcd(from, to);
    this.#step = from / divisor;
    this.#phases = to / divisor;
    const cutoff = Math.min(1, to / from) * PASSBAND;
    this.#half = from === to ? 0 : Math.ceil(ZERO_CROSSINGS / cutoff);
    this.#table = Array.from({ length: this.#phases }, (_, phase) => weights(phase / this.#phases, this.#half, cutoff));
    this.#held = new Float32Array(Math.max(0, this.#half - 1));
  }

  /** Output samples that this input completes. */
  push(input) {
    if (!this.#half) return input.slice();
    const sound = new Float32Array(this.#held.length + input.length);
    sound.set(this.#held);
    sound.set(input, this.#held.length);
    const output = [];
    const span = 2 * this.#half;
    let first = Math.floor(this.#at / this.#phases);
    while (first + span <= sound.length) {
      const row = this.#table[this.#at % this.#phases];
      let sum = 0;
      for (let index = 0; index < span; index++) sum += row[index] * sound[first + index];
      output.push(sum);
      this.#at += this.#step;
      first = Math.floor(this.#at / this.#phases);
    }
    const used = Math.min(first, sound.length);
    this.#held = sound.slice(used);
    this.#at -= used * this.#phases;
    return Float32Array.from(output);
  }

  /** What is still inside at the end. */
  flush() {
    return this.push(new Float32Array(this.#half));
  }
}

/** -1..1 as a 16-bit sample. The inverse of how Chromium reads them, so that a 16 kHz recording arrives bit for bit. */
export function s16(value) {
  return Math.round(value < 0 ? Math.max(-1, value) * 32768 : Math.min(1, value) * 32767);
}

/** A Hann-windowed sinc, sampled around an output sample that lies `offset` after input sample half - 1; sums to 1. */
function weights(offset, half, cutoff) {
  const row = Float32Array.from({ length: 2 * half }, (_, index) => {
    const x = index - (half - 1) - offset;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
    return sinc * Math.cos((Math.PI * x) / (2 * half)) ** 2;
  });
  const total = row.reduce((sum, weight) => sum + weight, 0);
  return row.map((weight) => weight / total);
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}
