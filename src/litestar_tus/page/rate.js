/** Smoothed transfer speed. */

/** Seconds after which an observation has lost about two thirds of its weight. */
const MEMORY_SECONDS = 4;

/** An exponentially weighted average of bytes per second, unbiased from its first sample on. */
export class Rate {
  #value = 0;
  #weight = 0;
  #seconds = 0;
  #bytes = 0;

  /** Forgets the past: the transfer stands at `bytes` now. */
  restart(bytes, seconds) {
    this.#value = 0;
    this.#weight = 0;
    this.#seconds = seconds;
    this.#bytes = bytes;
  }

  /** Tells that the transfer stands at `bytes` at the time `seconds` (of any monotonic clock). */
  sample(bytes, seconds) {
    const elapsed = seconds - this.#seconds;
    if (elapsed <= 0) return;
    const observed = Math.max(0, bytes - this.#bytes) / elapsed;
    const share = 1 - Math.exp(-elapsed / MEMORY_SECONDS);
    this.#value += share * (observed - this.#value);
    this.#weight += share * (1 - this.#weight);
    this.#seconds = seconds;
    this.#bytes = bytes;
  }

  /** Bytes per second; 0 before the first sample. */
  get bytesPerSecond() {
    return this.#weight === 0 ? 0 : this.#value / this.#weight;
  }
}
