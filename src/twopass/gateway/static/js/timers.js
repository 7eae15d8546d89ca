// Timers that have names: a new one takes the place of the one before it.

export class Timers {
  #running = new Map();

  /** Do something once. */
  later(name, ms, action) {
    this.cancel(name);
    this.#running.set(name, setTimeout(action, ms));
  }

  /** Do something again and again. */
  every(name, ms, action) {
    this.cancel(name);
    this.#running.set(name, setInterval(action, ms));
  }

  cancel(name) {
    clearTimeout(this.#running.get(name)); // of an interval, too
    this.#running.delete(name);
  }

  cancelAll() {
    for (const name of [...this.#running.keys()]) this.cancel(name);
  }
}
