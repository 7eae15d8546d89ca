// The connection: one session of /v1/stream.

// Sound that waits because the network is slower than speech. Beyond this the page lets go of it; the sample index in
// each frame tells the server how long the hole is, so that later words keep their times.
const MOST_WAITING = 2 * 16_000 * 60;
const POUR_WAITING = 256 * 1024;

export class Stream {
  #socket;
  #early = []; // spoken before the connection stood
  #index = 0; // of the next sample
  #channels;
  #ended = false;

  /**
   * @param start the fields of the start message besides its audio format
   * @param handlers onMessage(message), onClose({ ended, code, reason }): exactly once
   */
  constructor(url, { channels, ...start }, { onMessage, onClose }) {
    this.#channels = channels;
    this.skippedMs = 0;
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      const audio = { encoding: "pcm_s16le", sample_rate: 16_000, channels, framing: "indexed" };
      this.#say({ type: "start", audio, ...start });
      for (const frame of this.#early.splice(0)) this.#socket.send(frame);
    };
    this.#socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "end") this.#ended = true;
      onMessage(message);
      if (this.#ended) this.close();
    };
    this.#socket.onclose = ({ code, reason }) => onClose({ ended: this.#ended, code, reason });
  }

  /** Send interleaved samples. Returns the index after the last one, on the session's 16 kHz clock. */
  audio(pcm) {
    const frame = new Uint8Array(8 + pcm.byteLength);
    new DataView(frame.buffer).setBigUint64(0, BigInt(this.#index));
    // Typed arrays have the machine's byte order; every machine that runs a browser today is little endian.
    frame.set(new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength), 8);
    const frames = pcm.length / this.#channels;
    this.#index += frames;
    if (this.waiting + frame.length > MOST_WAITING * this.#channels) this.skippedMs += frames / 16;
    else this.#give(frame);
    return this.#index;
  }

  /** No more sound. The server makes every utterance final, says `end`, and the connection closes. */
  end() {
    const say = () => this.#say({ type: "end" });
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.addEventListener("open", say, { once: true });
    else say();
  }

  close() {
    this.#socket.close(1000);
  }

  /** Bytes that are not on the wire yet. */
  get waiting() {
    return this.#socket.bufferedAmount + this.#early.reduce((sum, frame) => sum + frame.length, 0);
  }

  /** How much sound waits, in milliseconds. */
  get waitingMs() {
    return this.waiting / (32 * this.#channels);
  }

  /** Resolves when the connection can take more of a recording that nobody waits to hear. */
  async drained() {
    const open = () => this.#socket.readyState === WebSocket.OPEN;
    const connecting = () => this.#socket.readyState === WebSocket.CONNECTING;
    while (connecting() || (open() && this.#socket.bufferedAmount > POUR_WAITING)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #give(frame) {
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#early.push(frame);
    else if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  #say(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
