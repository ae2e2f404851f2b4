/** The life of one file: queued, uploading, retrying, paused, done. No DOM. */

import { Alarm, retryDelay } from "./backoff.js";
import { BusyElsewhereError, exclusively } from "./locks.js";
import { Rate } from "./rate.js";
import { appendChunk, createUpload, fetchOffset, lostConnection, terminateUpload, TusError } from "./tus.js";
import { fingerprint } from "./unfinished.js";

/** Large enough to cost nothing, small enough for proxies that limit the size of a request. */
const CHUNK_BYTES = 64 * 1024 * 1024;

/** After so many errors in a row that the server itself reported, waiting longer is unlikely to help. */
const MOST_REFUSALS = 8;

/** Attempts to remove an upload from the server before the person is told. */
const MOST_REMOVALS = 5;

export const State = Object.freeze({
  /** Known from an earlier visit; the file has to be chosen again. */
  WAITING: "waiting",
  /** Waiting for one of the slots. */
  QUEUED: "queued",
  UPLOADING: "uploading",
  /** Between two attempts. */
  RETRYING: "retrying",
  PAUSED: "paused",
  FAILED: "failed",
  CANCELLING: "cancelling",
  DONE: "done",
  /** No longer in the list. */
  REMOVED: "removed",
});

/** The reason with which a run is aborted when its upload is paused or cancelled. */
const STOPPED = new Error("stopped");

export class Upload {
  state = State.QUEUED;
  /** What went wrong, for the person at the screen; "" if nothing did. */
  message = "";
  /** The file itself is not acceptable: trying again is no use. */
  refused = false;
  /** Failed attempts in a row, without a byte of progress in between. */
  failures = 0;
  /** Bytes handed to the network, on top of what the server has. For showing: the truth is the server's. */
  sent = 0;

  #endpoint;
  #unfinished;
  #onChange;
  #file;
  #url;
  #offset = null; // The server's offset; null when it has to be asked for.
  #rate = new Rate();
  #alarm = new Alarm();
  #run = new AbortController(); // Aborted with STOPPED to end the run (or the probe).
  #attempt = new AbortController(); // Aborted to fail the attempt in flight.
  #ended = Promise.resolve(); // Settles with the last run.

  /**
   * @param {object} options
   * @param {string} options.endpoint absolute URL of the creation endpoint
   * @param {import("./unfinished.js").Unfinished} options.unfinished
   * @param {{name: string, size: number, lastModified: number}} options.about the file, or what is known of it
   * @param {File | null} [options.file] null: known from an earlier visit, so WAITING
   * @param {string | null} [options.url] of the upload on the server, if there is one already
   * @param {(upload: Upload, previous: string) => void} options.onChange called whenever the state has
   *   changed, or (with the present one) when it turned out how much has been sent
   */
  constructor({ endpoint, unfinished, about, file = null, url = null, onChange }) {
    this.#endpoint = endpoint;
    this.#unfinished = unfinished;
    this.#onChange = onChange;
    this.#file = file;
    this.#url = url;
    this.name = about.name;
    this.size = about.size;
    this.lastModified = about.lastModified;
    this.fingerprint = fingerprint(endpoint, about);
    if (file === null) this.state = State.WAITING;
  }

  /** Whether it is being worked on, and so takes up a slot. */
  get active() {
    return this.state === State.UPLOADING || this.state === State.RETRYING;
  }

  get bytesPerSecond() {
    return this.state === State.UPLOADING ? this.#rate.bytesPerSecond : 0;
  }

  /** Seconds until the next attempt, while RETRYING. */
  get retryIn() {
    return this.#alarm.remaining;
  }

  /** Takes a sample of the speed; to be called a few times a second. */
  tick() {
    if (this.active) this.#rate.sample(this.sent, seconds());
  }

  /** Marks a file that is not to be sent at all. */
  refuse(message) {
    this.refused = true;
    this.#enter(State.FAILED, message);
  }

  /** The file was chosen again. */
  attach(file) {
    this.#run.abort(STOPPED);
    this.#file = file;
    this.#enter(State.QUEUED);
  }

  pause() {
    if (!this.active && this.state !== State.QUEUED) return;
    this.#run.abort(STOPPED);
    this.#enter(State.PAUSED);
  }

  /** Back into the queue. */
  resume() {
    if (this.refused || (this.state !== State.PAUSED && this.state !== State.FAILED)) return;
    this.#enter(this.#file === null ? State.WAITING : State.QUEUED);
  }

  /** Uploads until done, failed, paused or cancelled. */
  start() {
    const run = (this.#run = new AbortController());
    this.failures = 0;
    this.#enter(State.UPLOADING);
    this.#ended = this.#ended.then(() => this.#carryOut(run.signal));
  }

  /** Stops, removes the upload from the server, then itself from the list. */
  async cancel() {
    if (this.state === State.CANCELLING) return;
    this.#run.abort(STOPPED);
    this.#enter(State.CANCELLING);
    await this.#ended; // A creation in flight has to end: only then is the URL known.
    try {
      if (this.#url !== null) await exclusively(this.fingerprint, () => this.#terminate());
    } catch (error) {
      this.#enter(State.FAILED, `Not removed from the server: ${error.message}`);
      return;
    }
    this.#unfinished.forget(this.fingerprint);
    this.dismiss();
  }

  /** Leaves the list, without a word to the server. */
  dismiss() {
    this.#run.abort(STOPPED);
    this.#enter(State.REMOVED);
  }

  /** The network is gone: give up the request in flight and wait. */
  connectionLost() {
    this.#attempt.abort(lostConnection());
  }

  /** The network is back: wait no longer. */
  connectionBack() {
    this.#alarm.wake();
  }

  /** Asks how far a WAITING upload has got. Dismisses it if the server no longer knows it. */
  async probe() {
    try {
      await this.#locate(this.#run.signal);
      if (this.#url === null) this.dismiss();
      else this.#onChange(this, this.state);
    } catch (error) {
      if (error === STOPPED) return;
      // Any other failure may pass. The question is asked again when the file is chosen.
      if (error.gone) {
        this.#unfinished.forget(this.fingerprint);
        this.dismiss();
      }
    }
  }

  #enter(state, message = "") {
    const previous = this.state;
    if (previous === State.REMOVED) return;
    this.state = state;
    this.message = message;
    this.#onChange(this, previous);
  }

  async #carryOut(stopped) {
    try {
      stopped.throwIfAborted();
      await exclusively(this.fingerprint, () => this.#attempts(stopped));
      stopped.throwIfAborted();
    } catch (error) {
      this.#offset = null;
      if (stopped.aborted) return; // Whoever stopped it has set the state.
      if (!(error instanceof TusError || error instanceof BusyElsewhereError)) console.error(error);
      this.#enter(State.FAILED, error.message);
      return;
    }
    this.#unfinished.forget(this.fingerprint);
    this.#enter(State.DONE);
  }

  /** Tries until the server has everything. Network failures never end this, refusals of the server do. */
  async #attempts(stopped) {
    let refusals = 0;
    let furthest = 0;
    for (;;) {
      try {
        await this.#transfer(stopped);
        return;
      } catch (error) {
        stopped.throwIfAborted();
        if (this.#offset > furthest) {
          furthest = this.#offset;
          this.failures = refusals = 0;
        }
        this.#offset = null; // How much has arrived is for the server to say.
        this.failures += 1;
        if (error.status > 0) refusals += 1;
        if (refusals >= MOST_REFUSALS) throw error;
        await this.#prepareRetry(error);
        stopped.throwIfAborted();
        const woken = this.#alarm.sleep(retryDelay(this.failures, error.retryAfter), stopped);
        this.#enter(State.RETRYING, error.message);
        await woken;
        this.#enter(State.UPLOADING);
      }
    }
  }

  /** Throws, unless there is a point in trying again. */
  async #prepareRetry(error) {
    if (error.gone && this.#url !== null) {
      this.#forgetUrl();
    } else if (!error.retryable) {
      throw error;
    } else if (error.status === 0 && !(await readable(this.#file))) {
      // To XMLHttpRequest, a file that has changed on the disk looks like a network error.
      throw new TusError("The file was changed, moved or deleted since it was chosen");
    }
  }

  async #transfer(stopped) {
    this.#attempt = new AbortController();
    const signal = AbortSignal.any([stopped, this.#attempt.signal]);
    if (this.#url !== null && this.#offset === null) await this.#locate(signal);
    if (this.#url === null) await this.#create();
    signal.throwIfAborted();
    while (this.#offset < this.size) {
      const start = this.#offset;
      const chunk = this.#file.slice(start, start + CHUNK_BYTES);
      const onProgress = (loaded) => (this.sent = start + Math.min(loaded, chunk.size));
      this.#setOffset(await appendChunk(this.#url, start, chunk, { signal, onProgress }));
    }
  }

  /** Finds out where to go on; forgets the URL if it is not that of this file. */
  async #locate(signal) {
    const { offset, length } = await fetchOffset(this.#url, { signal });
    signal.throwIfAborted();
    if (length === this.size || (length === null && offset <= this.size)) {
      this.#setOffset(offset);
      this.#rate.restart(offset, seconds());
    } else {
      this.#forgetUrl();
    }
  }

  async #create() {
    const { name, size, lastModified } = this;
    const metadata = { filename: name };
    if (this.#file.type) metadata.filetype = this.#file.type;
    this.#url = await createUpload(this.#endpoint, size, metadata);
    this.#unfinished.remember(this.fingerprint, { url: this.#url, name, size, lastModified });
    this.#setOffset(0);
    this.#rate.restart(0, seconds());
  }

  #setOffset(offset) {
    this.#offset = offset;
    this.sent = offset;
  }

  #forgetUrl() {
    this.#unfinished.forget(this.fingerprint);
    this.#url = null;
    this.#offset = null;
    this.sent = 0;
  }

  async #terminate() {
    for (let failures = 1; ; failures += 1) {
      try {
        await terminateUpload(this.#url);
        return;
      } catch (error) {
        // A server without the termination extension drops the upload when it expires.
        if (error.status === 405 || error.status === 501) return;
        if (!error.retryable || failures === MOST_REMOVALS) throw error;
        await this.#alarm.sleep(retryDelay(failures));
      }
    }
  }
}

async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false; // NotReadableError or NotFoundError.
  }
}

function seconds() {
  return performance.now() / 1000;
}
