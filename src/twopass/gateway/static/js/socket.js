// The connection: one session of /v1/stream, over as many sockets as it takes.
//
// When a socket breaks the session waits at the server. Another socket asks for it, gets the messages that were missed, and
// sends the sound that the server has not got. Whoever uses this sees every message once, and in order.

import { Outgoing } from "./outgoing.js";
import { Timers } from "./timers.js";

const POUR_WAITING = 256 * 1024; // bytes
const POUR_AHEAD = 30 * 16_000; // samples
const ON_THE_WIRE = 64 * 1024; // what waits in the browser when a socket breaks was sent in vain
const RETRY_SOON = 50;
const FIRST_WAIT = 250;
const LONGEST_WAIT = 5000;
const ANSWER_MS = 10_000;
const SILENT_MS = 10_000; // sound is acknowledged many times a second
const IDLE_MS = 45_000; // where nothing need be said, asking again is the only way to know whether somebody is there
const SEEN_MS = 4000;
const CLOSE_MS = 2000;
const MOST_FAILURES = 5;
const FINAL = new Set([1009, 4400, 4401, 4403, 4404, 4408, 4409, 4503]);
const ELSEWHERE = new Set([1001, 1005, 1006, 1012]);
const INTERNAL = 1011;
export const TAKEN_OVER = 4409;

export class Stream {
  connected = false;
  #url;
  #start;
  #handlers;
  #token;
  #outgoing;
  #socket = null;
  #session = null; // { session, token, resume_seconds }
  #lastEvent = 0;
  #seen = 0;
  #heardAt = 0;
  #ended = false;
  #fatal = false;
  #parting = null; // why the server closes this socket
  #lost = null; // { since, code, reason } of the break that is being mended
  #attempts = 0; // sockets in a row that brought nothing new
  #failures = 0; // of those, how many the server closed because of a fault of its own
  #timers = new Timers();
  #closing = false;
  #over = false;

  /**
   * @param start the fields of the start message besides its audio format
   * @param handlers onMessage(message); onConnection(): `connected` has changed; onClose({ ended, code, reason }): once
   * @param token gives what to show at the door, or null
   */
  constructor(url, { channels, ...start }, { onMessage, onConnection, onClose }, token = () => null) {
    this.#url = url;
    const audio = { encoding: "pcm_s16le", sample_rate: 16_000, channels, framing: "indexed" };
    this.#start = { type: "start", audio, ...start };
    this.#handlers = { onMessage, onConnection, onClose };
    this.#token = token;
    this.#outgoing = new Outgoing(channels);
    this.#timers.every("watch", 1000, () => this.#watch());
    this.#timers.every("seen", SEEN_MS, () => this.#saySeen());
    this.#connect();
  }

  /** Send interleaved samples. Returns the index after the last one, on the session's 16 kHz clock. */
  audio(pcm) {
    if (!this.#outgoing.unacknowledged) this.#heardAt = performance.now(); // from now on an answer is due
    const index = this.#outgoing.push(pcm);
    this.#pump();
    this.#watch(); // in a tab in the background timers sleep, sound does not
    return index;
  }

  /** No more sound. The server makes every utterance final, says `end`, and the connection closes. */
  end() {
    this.#outgoing.end();
    this.#pump();
  }

  /** Hang up: the server forgets the session. */
  close() {
    this.#closing = true;
    this.#timers.cancel("connect");
    this.#socket?.close(1000);
    // A network that has gone would let the browser wait for the other side's goodbye.
    const gone = !this.#socket || this.#socket.readyState === WebSocket.CLOSED;
    this.#timers.later("close", gone ? 0 : CLOSE_MS, () => this.#finish({ code: 1000, reason: "" }));
  }

  /** How much sound waits for the network, in milliseconds. */
  get waitingMs() {
    return this.#outgoing.waitingMs(this.#socket?.bufferedAmount ?? 0);
  }

  /** How much sound was let go of, because the network was too slow for too long. */
  get skippedMs() {
    return this.#outgoing.skippedMs;
  }

  /** Resolves when the connection can take more of a recording that nobody waits to hear. */
  async drained() {
    const full = () => this.#outgoing.unacknowledged > POUR_AHEAD || this.#socket.bufferedAmount > POUR_WAITING;
    while (!this.#over && (!this.connected || full())) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  // One socket after another

  #connect() {
    const token = this.#token();
    const socket = new WebSocket(this.#url, token ? ["twopass", `bearer.${token}`] : []);
    this.#socket = socket;
    this.#parting = null;
    this.#heardAt = performance.now();
    socket.binaryType = "arraybuffer";
    // What an abandoned socket says later is nobody's business.
    const mine = (handle) => (event) => socket === this.#socket && handle(event);
    socket.onopen = mine(() => this.#introduce());
    socket.onmessage = mine(({ data }) => this.#receive(JSON.parse(data)));
    socket.onclose = mine(({ code, reason }) => this.#closed(code, reason));
    if (this.#session) this.#timers.later("answer", ANSWER_MS, () => this.#abandon());
  }

  #introduce() {
    if (this.#session) {
      const { session, token } = this.#session;
      this.#say({ type: "session_resume", session, token, last_event: this.#lastEvent });
      return;
    }
    this.#say(this.#start);
    this.#goOn(0); // what was spoken meanwhile need not wait for the answer
  }

  #receive(message) {
    this.#heardAt = performance.now();
    if (message.type === "resumed") {
      this.#goOn(message.next_sample);
      return;
    }
    const fresh = message.event > this.#lastEvent;
    // What ends only this socket has no number of its own.
    if (message.type === "error" && message.fatal && this.#session && (!fresh || message.retryable)) {
      this.#parting = message;
      return;
    }
    if (!fresh) return;
    this.#lastEvent = message.event;
    this.#attempts = this.#failures = 0;
    this.#take(message);
    this.#handlers.onMessage(message);
    if (this.#ended) {
      this.#saySeen();
      this.close();
    }
  }

  #take(message) {
    if (message.type === "session") {
      this.#session = message;
      this.#saySeen();
    } else if (message.type === "ack") {
      this.#outgoing.acknowledge(message);
      this.#pump();
    } else if (message.type === "error" && message.fatal) {
      this.#fatal = true;
    } else if (message.type === "end") {
      this.#ended = true;
    }
  }

  /** The server listens: send everything from a place on. */
  #goOn(sample) {
    this.#timers.cancel("answer");
    this.#outgoing.rewind(sample);
    this.#lost = null;
    this.#seen = 0;
    this.connected = true;
    this.#saySeen(); // at once: a server that has heard it waits for the last one, too
    this.#handlers.onConnection();
    this.#pump();
  }

  #closed(code, reason) {
    this.#timers.cancel("answer");
    this.connected = false;
    this.#failures += code === INTERNAL;
    const meant = FINAL.has(code) || (this.#fatal && !ELSEWHERE.has(code)) || this.#failures > MOST_FAILURES;
    const told = { code, reason: this.#parting?.message.replace(/\.$/, "") ?? reason };
    if (this.#ended || this.#closing || !this.#session) this.#finish(told);
    // Of several breaks the first one explains the others.
    else if (meant || this.#impatient()) this.#finish(code === TAKEN_OVER ? told : this.#lost ?? told);
    else this.#retry(told);
  }

  #impatient() {
    return this.#lost && performance.now() - this.#lost.since > 1000 * this.#session.resume_seconds;
  }

  #retry(told) {
    this.#lost ??= { since: performance.now(), ...told };
    this.#handlers.onConnection();
    // All clients of a server lose it at the same time; they must not all come back at the same time.
    const wait = Math.random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#attempts++);
    this.#timers.later("connect", wait, () => this.#connect());
  }

  /** A socket on which nothing comes any more. */
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    socket.close(3001); // not 1000: that would end the session
    this.#closed(1006, "no answer");
  }

  #finish({ code, reason }) {
    if (this.#over) return;
    this.#over = true;
    this.connected = false;
    this.#timers.cancelAll();
    this.#handlers.onClose({ ended: this.#ended, code, reason });
  }

  // What goes out

  #pump() {
    while (this.#ready && this.#socket.bufferedAmount < ON_THE_WIRE) {
      const frame = this.#outgoing.next();
      if (frame === null) return;
      this.#socket.send(frame);
    }
    if (this.#ready) this.#timers.later("pump", RETRY_SOON, () => this.#pump());
  }

  get #ready() {
    return this.connected && this.#socket.readyState === WebSocket.OPEN;
  }

  /** Nobody says that a network has gone; it only becomes silent. */
  #watch() {
    if (!this.#ready || !this.#session) return;
    const patience = this.#outgoing.unacknowledged && !this.#outgoing.ending ? SILENT_MS : IDLE_MS;
    if (performance.now() - this.#heardAt > patience) this.#abandon();
  }

  /** What has arrived need not be kept for us. */
  #saySeen() {
    if (this.#lastEvent <= this.#seen || !this.#ready) return;
    this.#seen = this.#lastEvent;
    this.#say({ type: "seen", event: this.#seen });
  }

  #say(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
