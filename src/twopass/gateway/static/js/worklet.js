// Runs on the audio thread: hands on what it hears as 16 kHz s16 chunks of 50 ms, channels interleaved.
//
// The audio thread is the only clock that a browser does not slow down in a tab in the background, so recordings that
// are played in real time go through here as well as the microphone.

import { Resampler, s16 } from "./resample.js";

const RATE = 16_000;
const CHUNK = RATE / 20;

class Tap extends AudioWorkletProcessor {
  #resamplers;
  #chunk;
  #filled = 0;
  #done = false;

  constructor({ processorOptions: { channels } }) {
    super();
    this.#resamplers = Array.from({ length: channels }, () => new Resampler(sampleRate, RATE));
    this.#chunk = new Int16Array(CHUNK * channels);
    // Any message means: no more will be needed, give out what is left.
    this.port.onmessage = () => this.#finish();
  }

  process([input]) {
    // No channels: the source has not begun yet. Its first sample is to be sample 0.
    if (input.length && !this.#done) this.#take(this.#resamplers.map((resampler, index) => resampler.push(input[index])));
    return !this.#done;
  }

  #take(channels) {
    for (let frame = 0; frame < channels[0].length; frame++) {
      for (const channel of channels) {
        this.#chunk[this.#filled++] = s16(channel[frame]);
      }
      if (this.#filled === this.#chunk.length) this.#send();
    }
  }

  #send() {
    const pcm = this.#chunk.slice(0, this.#filled);
    this.#filled = 0;
    this.port.postMessage(pcm, [pcm.buffer]);
  }

  #finish() {
    if (this.#done) return;
    this.#take(this.#resamplers.map((resampler) => resampler.flush()));
    if (this.#filled) this.#send();
    this.#done = true;
    this.port.postMessage(null);
  }
}

registerProcessor("tap", Tap);
