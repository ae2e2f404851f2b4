/** When to try again, and waiting until then. */

const FIRST_DELAY_SECONDS = 0.5;
const LONGEST_DELAY_SECONDS = 30;
const LONGEST_RETRY_AFTER_SECONDS = 300;

/**
 * Seconds to wait after so many failures in a row: exponential, with jitter so that clients do not fall into step.
 *
 * @param {number} failures at least 1
 * @param {number} [retryAfter] seconds that the server asked to wait at least
 * @param {number} [random] in [0, 1)
 */
export function retryDelay(failures, retryAfter = 0, random = Math.random()) {
  const delay = Math.min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (failures - 1));
  return Math.max(delay * (0.75 + random / 2), Math.min(retryAfter, LONGEST_RETRY_AFTER_SECONDS));
}

/** A sleep that can be cut short. One sleeper at a time. */
export class Alarm {
  #at = 0;
  #wake = () => {};

  /** Seconds until the sleeper wakes by itself. */
  get remaining() {
    return Math.max(0, this.#at - performance.now() / 1000);
  }

  /** Resolves after so many seconds or with wake(); rejects with the reason of `signal` when that aborts. */
  sleep(seconds, signal = null) {
    return new Promise((resolve, reject) => {
      this.#at = performance.now() / 1000 + seconds;
      this.#wake = resolve;
      const timer = setTimeout(resolve, seconds * 1000);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    });
  }

  wake() {
    this.#wake();
  }
}
