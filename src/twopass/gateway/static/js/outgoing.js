// What a session has to send: sound, and then the end. All of it can be sent again. Pure.

import { AudioRing } from "./ring.js";

export class Outgoing {
  skippedMs = 0;
  ending = false;
  #channels;
  #ring;
  #cursor = 0; // the next sample to send
  #endSaid = false;

  constructor(channels) {
    this.#channels = channels;
    this.#ring = new AudioRing(channels);
  }

  /** How many samples the server has not acknowledged. */
  get unacknowledged() {
    return this.#ring.unacknowledged;
  }

  /** How much sound waits, if so many bytes of what was sent are not on the wire yet. */
  waitingMs(buffered) {
    return (this.#ring.end - this.#cursor) / 16 + buffered / (32 * this.#channels);
  }

  /** More sound. Returns the index after its last sample. */
  push(pcm) {
    if (!this.#ring.push(pcm)) this.skippedMs += pcm.length / this.#channels / 16;
    return this.#ring.end;
  }

  /** No more sound. */
  end() {
    this.ending = true;
  }

  /** The next frame to send, or null if there is nothing now. */
  next() {
    const piece = this.#ring.read(this.#cursor);
    if (piece) {
      this.#cursor = piece.end;
      return framed(piece);
    }
    if (!this.ending || this.#endSaid) return null;
    this.#endSaid = true;
    return JSON.stringify({ type: "end" });
  }

  acknowledge({ samples, durable }) {
    this.#ring.acknowledge(samples, durable);
  }

  /** Another connection: send everything from where the server wants it. */
  rewind(sample) {
    this.#cursor = this.#ring.rewind(sample);
    this.#endSaid = false;
  }
}

/** Its index, and the samples as the machine has them: every machine that runs a browser today is little endian. */
function framed({ at, pcm }) {
  const frame = new Uint8Array(8 + pcm.byteLength);
  new DataView(frame.buffer).setBigUint64(0, BigInt(at));
  frame.set(new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength), 8);
  return frame;
}
