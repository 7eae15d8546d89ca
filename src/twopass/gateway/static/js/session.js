// One session: a source, its connection, and the transcript that comes of it. Knows nothing of the page.

import { clock } from "./formats.js";
import { CaptureClock, Latencies } from "./latency.js";
import { EMPTY, latest, reduce, troubleText } from "./protocol.js";
import { Stream, TAKEN_OVER } from "./socket.js";

const SLOW_MS = 3000;
const SILENT_MS = 6000; // it acknowledges sound many times a second

export class Session {
  state = EMPTY;
  #phase = "connecting"; // connecting, live, finishing, abandoned, over
  #fatal = null;
  #source;
  #stream;
  #clock = new CaptureClock();
  #answered = performance.now();
  #chunks = 0;
  #handlers;

  /**
   * @param token gives what to show at the server's door, or null
   * @param handlers onMessage(message, before), onLevel(0..1), onStatus(), onOver({ health, text, problem })
   */
  constructor(source, profile, token, handlers) {
    this.#source = source;
    this.#handlers = handlers;
    this.latencies = new Latencies(this.#clock);
    this.separate = source.channels > 1;
    const url = new URL("/v1/stream", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const { channels, realtime } = source;
    this.#stream = new Stream(url, { channels, realtime, separate_channels: this.separate, profile }, {
      onMessage: (message) => this.#receive(message),
      onConnection: () => this.#handlers.onStatus(),
      onClose: (close) => this.#closed(close),
    }, token);
    source.finished.then(() => this.finish());
    source.start((pcm) => this.#hear(pcm), () => this.#stream.drained());
  }

  /** { health, text } for the dot. */
  get status() {
    const { skippedMs, waitingMs } = this.#stream;
    const trouble = troubleText(this.state);
    if (this.#fatal) return { health: "bad", text: "An error ends this session" };
    if (!this.#stream.connected && this.#phase !== "connecting") {
      return { health: "warn", text: "Connection lost, resuming…" };
    }
    if (skippedMs) return { health: "warn", text: `Network too slow: ${clock(skippedMs)} of sound was skipped` };
    if (trouble) return { health: "warn", text: trouble };
    if (this.#source.realtime && waitingMs > SLOW_MS) {
      return { health: "warn", text: `Network slow: ${clock(waitingMs)} of sound waits` };
    }
    const silence = performance.now() - this.#answered;
    if (this.#phase === "live" && this.#source.realtime && silence > SILENT_MS) {
      return { health: "warn", text: `The server has not answered for ${clock(silence)}` };
    }
    return {
      connecting: { health: "warn", text: "Connecting…" },
      live: { health: "good", text: this.#source.realtime ? "Connected, listening" : "Connected, reading the file" },
    }[this.#phase] ?? { health: "good", text: "Finishing the last words…" };
  }

  get finishing() {
    return this.#phase === "finishing";
  }

  /** No more sound; every utterance becomes final before the connection closes. */
  async finish() {
    if (!["connecting", "live"].includes(this.#phase)) return;
    this.#phase = "finishing";
    this.#handlers.onStatus();
    await this.#source.stop();
    this.#stream.end();
  }

  /** Do not wait for the last words. */
  abandon() {
    this.#phase = "abandoned";
    this.#stream.close();
  }

  #hear(pcm) {
    if (this.#phase === "over") return; // the source is being stopped and gives out its last chunks
    const sample = this.#stream.audio(pcm);
    if (!this.#source.realtime) return;
    this.#clock.mark(sample, performance.now());
    this.#handlers.onLevel(loudness(pcm));
    // A network that stalls sends no message that could bring the status up to date.
    if (++this.#chunks % 20 === 0) this.#handlers.onStatus();
  }

  #receive(message) {
    this.#answered = performance.now();
    const before = message.type === "segment" ? latest(this.state, message.id) : null;
    const state = reduce(this.state, message);
    const stale = message.type === "segment" && state === this.state;
    this.state = state;
    if (stale) return;
    if (message.type === "segment" && this.#source.realtime) this.latencies.observe(message, performance.now());
    if (message.type === "session" && this.#phase === "connecting") this.#phase = "live";
    if (message.type === "error" && message.fatal) this.#fatal = message;
    this.#handlers.onMessage(message, before);
  }

  #closed({ ended, code, reason }) {
    const phase = this.#phase;
    this.#phase = "over";
    this.#source.stop();
    const trouble = troubleText(this.state);
    const over = (health, text, problem = null) => this.#handlers.onOver({ health, text, problem });
    if (this.#fatal) over("bad", "Ended by an error");
    else if (ended) over(trouble ? "warn" : "good", trouble ? `Finished. ${trouble}` : "Finished, every word is final");
    else if (phase === "abandoned") over("idle", "Stopped before the last words were final");
    else if (code === TAKEN_OVER) over("warn", "This session goes on in another window");
    else {
      const why = reason || (phase === "connecting" ? "the server did not answer" : `close code ${code}`);
      const kept = this.state.words ? "The transcript so far is kept. " : "";
      const fix = `${kept}Check the server and start again.`;
      over("bad", "Connection lost", { message: `The connection was lost: ${why}.`, fix });
    }
  }
}

/** 0 for -50 dB and less, 1 for full scale. */
function loudness(pcm) {
  const power = pcm.reduce((sum, sample) => sum + (sample / 32768) ** 2, 0) / pcm.length;
  return Math.max(0, Math.min(1, 1 + Math.log10(power + 1e-9) / 5));
}
