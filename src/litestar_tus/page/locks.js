/** Keeps two tabs of one browser from working on the same upload. */

/** Milliseconds to wait for a tab that is just closing or reloading. */
const PATIENCE = 3000;

export class BusyElsewhereError extends Error {
  constructor() {
    super("Another tab is uploading this file");
    this.name = "BusyElsewhereError";
  }
}

/**
 * Runs `work` while no other tab works on `name`, and resolves to what it resolves to.
 *
 * Browsers offer locks to secure contexts only (https, localhost). Elsewhere the work just runs: two tabs would
 * then interrupt each other, but the server's offset check keeps the data right.
 *
 * @param {{patient?: boolean}} [options] patient: wait as long as it takes, instead of a BusyElsewhereError
 */
export async function exclusively(name, work, { patient = false } = {}) {
  if (!navigator.locks) return work();
  const waiting = new AbortController();
  const timer = patient ? 0 : setTimeout(() => waiting.abort(new BusyElsewhereError()), PATIENCE);
  return navigator.locks.request(`litestar-tus/${name}`, { signal: waiting.signal }, () => {
    clearTimeout(timer);
    return work();
  });
}
