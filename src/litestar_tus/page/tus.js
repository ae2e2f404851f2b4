/**
 * A client of the tus 1.0 resumable upload protocol: one function for each request, no state, no DOM.
 *
 * The functions resolve to what the server answered, and reject with a TusError, or with the reason of the
 * AbortSignal they were given. Retrying is the caller's business (see upload.js). Requests go through
 * XMLHttpRequest, because fetch cannot report how much of a body has been sent.
 */

const VERSION = "1.0.0";

/** Seconds without any sign of life after which a request is given up as lost. */
const STALL_SECONDS = 60;

/** Seconds to wait for the answer once a whole body has been sent: the server may have to assemble the upload. */
const ANSWER_SECONDS = 300;

/** Answers besides 5xx after which asking for the offset (HEAD) and trying again may help. */
const PASSING_STATUSES = new Set([408, 409, 423, 425, 429]);

/** What went wrong with one request. */
export class TusError extends Error {
  /**
   * @param {string} message for the person at the screen
   * @param {{status?: number, retryable?: boolean, retryAfter?: number}} [details]
   *   status: the HTTP status, 0 if no answer came; retryAfter: seconds the server asked to wait
   */
  constructor(message, { status = 0, retryable = false, retryAfter = 0 } = {}) {
    super(message);
    this.name = "TusError";
    this.status = status;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
  }

  /** Whether the server no longer knows the upload: it expired or was removed. */
  get gone() {
    return this.status === 404 || this.status === 410;
  }
}

/** The error of a request that never got an answer. */
export function lostConnection() {
  return new TusError("The connection was lost", { retryable: true });
}

/**
 * Writes an Upload-Metadata header: comma-separated pairs of a key and the base64 of the value's UTF-8 bytes.
 *
 * @param {Record<string, string>} metadata
 */
export function encodeMetadata(metadata) {
  return Object.entries(metadata)
    .map(([key, value]) => (value === "" ? key : `${key} ${base64(value)}`))
    .join(",");
}

function base64(text) {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/**
 * Creates an upload of `length` bytes and resolves to its absolute URL.
 *
 * It cannot be aborted: an answer thrown away would leave behind an upload whose URL nobody knows.
 */
export async function createUpload(endpoint, length, metadata) {
  const headers = { "Upload-Length": String(length), "Upload-Metadata": encodeMetadata(metadata) };
  const answer = await request("POST", endpoint, { headers });
  expect(answer, [201]);
  const location = answer.header("Location");
  if (!location) throw new TusError("The server did not say where the upload is", { status: answer.status });
  return new URL(location, endpoint).href;
}

/**
 * Asks how many bytes of an upload the server has.
 *
 * @returns {Promise<{offset: number, length: number | null}>} length is null when the server does not know it
 */
export async function fetchOffset(url, { signal } = {}) {
  const answer = await request("HEAD", url, { signal });
  expect(answer, [200, 204]);
  const length = answer.header("Upload-Length");
  return { offset: readOffset(answer), length: length === null ? null : Number(length) };
}

/**
 * Appends `blob` at `offset` and resolves to the upload's new offset.
 *
 * @param {(sent: number) => void} [onProgress] told how many bytes of the blob have been handed to the network
 */
export async function appendChunk(url, offset, blob, { signal, onProgress } = {}) {
  const headers = { "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
  const answer = await request("PATCH", url, { headers, body: blob, signal, onProgress });
  expect(answer, [200, 204]);
  const reached = readOffset(answer);
  if (reached <= offset || reached > offset + blob.size) {
    throw new TusError("The server did not take the data", { status: answer.status, retryable: true });
  }
  return reached;
}

/** Removes an upload from the server. An upload that is not there (any more) counts as removed. */
export async function terminateUpload(url) {
  const answer = await request("DELETE", url);
  expect(answer, [200, 204, 404, 410]);
}

function readOffset(answer) {
  const value = answer.header("Upload-Offset");
  if (value === null || !/^\d+$/.test(value)) {
    throw new TusError("The server did not answer like a tus server", { status: answer.status });
  }
  return Number(value);
}

function expect(answer, statuses) {
  const { status } = answer;
  if (statuses.includes(status)) return;
  const retryable = PASSING_STATUSES.has(status) || (status >= 500 && status !== 501 && status !== 505);
  const retryAfter = Number(answer.header("Retry-After")) || 0;
  throw new TusError(describe(answer), { status, retryable, retryAfter });
}

/** The server's own words (problem+json) if there are any, else words for the status. */
function describe({ status, text }) {
  const known = {
    401: "The server asks for a login",
    403: "The server refused the upload",
    404: "The server does not know this upload",
    410: "The upload has expired on the server",
    412: "The server does not speak tus 1.0",
    413: "The file is larger than the server takes",
    423: "The upload is in use by another connection",
    507: "The server has no room left",
  };
  if (status in known) return known[status];
  try {
    const problem = JSON.parse(text);
    const words = problem.detail ?? problem.title;
    if (typeof words === "string" && words !== "") return `${words} (${status})`;
  } catch {
    // Not JSON: the status has to do.
  }
  return `The server answered with an error (${status})`;
}

function request(method, url, { headers = {}, body = null, signal = null, onProgress = null } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const xhr = new XMLHttpRequest();
    let stallTimer = 0;
    const settle = (outcome, value) => {
      clearTimeout(stallTimer);
      signal?.removeEventListener("abort", onAbort);
      outcome(value);
    };
    const giveUp = (reason) => {
      settle(reject, reason); // First: aborting fires an event of its own, which then finds the promise settled.
      xhr.abort();
    };
    const onAbort = () => giveUp(signal.reason);
    const expectLifeWithin = (seconds) => {
      clearTimeout(stallTimer);
      stallTimer = setTimeout(() => giveUp(lostConnection()), seconds * 1000);
    };

    xhr.open(method, url);
    xhr.setRequestHeader("Tus-Resumable", VERSION);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.addEventListener("progress", (event) => {
      expectLifeWithin(STALL_SECONDS);
      onProgress?.(event.loaded);
    });
    xhr.upload.addEventListener("load", () => expectLifeWithin(ANSWER_SECONDS));
    xhr.addEventListener("error", () => settle(reject, lostConnection()));
    xhr.addEventListener("load", () => {
      const header = (name) => xhr.getResponseHeader(name);
      settle(resolve, { status: xhr.status, header, text: xhr.responseText });
    });
    signal?.addEventListener("abort", onAbort);
    expectLifeWithin(STALL_SECONDS);
    xhr.send(body);
  });
}
