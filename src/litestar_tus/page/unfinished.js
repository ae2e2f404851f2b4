/**
 * What survives a reload: the URLs of unfinished uploads, in localStorage.
 *
 * An entry is { url, name, size, lastModified }, found again by the file's fingerprint. Browsers do not let a
 * page keep the file itself, so the person has to choose it again.
 */

const PREFIX = "litestar-tus/upload/";

/** Tells files apart without reading them. Also the name of the lock that keeps two tabs from one upload. */
export function fingerprint(endpoint, { name, size, lastModified }) {
  return JSON.stringify([endpoint, name, size, lastModified]);
}

/** The unfinished uploads to one endpoint. Where storage is denied or full, uploads work but are not remembered. */
export class Unfinished {
  #endpoint;

  constructor(endpoint) {
    this.#endpoint = endpoint;
  }

  remember(id, entry) {
    attempt(() => localStorage.setItem(PREFIX + id, JSON.stringify(entry)));
  }

  forget(id) {
    attempt(() => localStorage.removeItem(PREFIX + id));
  }

  /** The entry with this fingerprint, or null. */
  recall(id) {
    return parse(attempt(() => localStorage.getItem(PREFIX + id)) ?? null);
  }

  /** All entries of this endpoint. */
  list() {
    const keys = attempt(() => Object.keys(localStorage)) ?? [];
    return keys
      .filter((key) => key.startsWith(PREFIX))
      .map((key) => ({ id: key.slice(PREFIX.length), entry: this.recall(key.slice(PREFIX.length)) }))
      .filter(({ id, entry }) => entry !== null && fingerprint(this.#endpoint, entry) === id)
      .map(({ entry }) => entry);
  }

  /** Calls back with the fingerprint when another tab has finished or discarded an upload. */
  onForgotten(callback) {
    addEventListener("storage", ({ key, newValue }) => {
      if (key?.startsWith(PREFIX) && newValue === null) callback(key.slice(PREFIX.length));
    });
  }
}

function attempt(access) {
  try {
    return access();
  } catch {
    return null; // SecurityError (storage denied) or QuotaExceededError.
  }
}

function parse(text) {
  if (text === null) return null;
  try {
    const { url, name, size, lastModified } = JSON.parse(text);
    const sound = typeof url === "string" && typeof name === "string" && Number.isSafeInteger(size);
    return sound ? { url, name, size, lastModified } : null;
  } catch {
    return null; // Not something that this page wrote.
  }
}
