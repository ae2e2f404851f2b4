/** The list of uploads: what is let in, what may run, how it all stands. No DOM. */

import { formatBytes } from "./format.js";
import { exclusively } from "./locks.js";
import { fingerprint } from "./unfinished.js";
import { State, Upload } from "./upload.js";

/** More at once would only share the same bandwidth. */
const MOST_ACTIVE = 3;

export class Queue {
  #uploads = [];
  #endpoint;
  #maxSize;
  #unfinished;
  #onChange;

  /**
   * @param {object} options
   * @param {string} options.endpoint absolute URL of the creation endpoint
   * @param {number | null} options.maxSize bytes; null: no limit
   * @param {import("./unfinished.js").Unfinished} options.unfinished
   * @param {(upload: Upload, previous: string | null) => void} options.onChange called when an upload was
   *   added (previous is null), has changed, or was removed (its state is REMOVED)
   */
  constructor({ endpoint, maxSize, unfinished, onChange }) {
    this.#endpoint = endpoint;
    this.#maxSize = maxSize;
    this.#unfinished = unfinished;
    this.#onChange = onChange;
  }

  get uploads() {
    return [...this.#uploads];
  }

  /** Whether leaving the page now would interrupt something. */
  get busy() {
    const states = [State.QUEUED, State.CANCELLING];
    return this.#uploads.some((upload) => upload.active || states.includes(upload.state));
  }

  /**
   * Takes files in. One that an unfinished upload is waiting for continues that upload.
   *
   * @param {Iterable<File>} files
   * @returns {{started: number, refused: number, repeated: number}}
   */
  add(files) {
    const counts = { started: 0, refused: 0, repeated: 0 };
    for (const file of files) counts[this.#take(file)] += 1;
    return counts;
  }

  /** Lists the uploads that an earlier visit left unfinished, and asks the server how they stand. */
  restore() {
    for (const entry of this.#unfinished.list()) {
      const id = fingerprint(this.#endpoint, entry);
      // Uploads of another tab turn up here if that tab leaves them unfinished.
      exclusively(id, () => this.#restoreOne(id), { patient: true });
    }
    this.#unfinished.onForgotten((id) => {
      const waiting = this.#find(id);
      if (waiting?.state === State.WAITING) waiting.dismiss();
    });
  }

  connectionLost() {
    for (const upload of this.#uploads) upload.connectionLost();
  }

  connectionBack() {
    for (const upload of this.#uploads) upload.connectionBack();
  }

  /** Takes a sample of the speed of everything. */
  tick() {
    for (const upload of this.#uploads) upload.tick();
  }

  dismissDone() {
    for (const upload of this.uploads) if (upload.state === State.DONE) upload.dismiss();
  }

  /** Sums over everything but what was refused, waits for its file or is being cancelled. */
  totals() {
    const counted = this.#uploads.filter(
      ({ state, refused }) => !refused && state !== State.WAITING && state !== State.CANCELLING,
    );
    const sum = (pick) => counted.reduce((total, upload) => total + pick(upload), 0);
    return {
      files: counted.length,
      done: counted.filter(({ state }) => state === State.DONE).length,
      failed: this.#uploads.filter(({ state }) => state === State.FAILED).length,
      running: this.busy,
      bytes: sum(({ size }) => size),
      sent: sum(({ sent }) => sent),
      bytesPerSecond: sum(({ bytesPerSecond }) => bytesPerSecond),
    };
  }

  #take(file) {
    const id = fingerprint(this.#endpoint, file);
    const known = this.#find(id);
    if (known && !known.refused) {
      if (known.state !== State.WAITING && known.state !== State.FAILED) return "repeated";
      known.attach(file);
      return "started";
    }
    if (this.#maxSize !== null && file.size > this.#maxSize) {
      const message = `Too large: the limit is ${formatBytes(this.#maxSize)}, this file has ${formatBytes(file.size)}`;
      (known ?? this.#append(file, { file })).refuse(message);
      return "refused";
    }
    this.#append(file, { file, url: this.#unfinished.recall(id)?.url ?? null });
    this.#fillSlots();
    return "started";
  }

  async #restoreOne(id) {
    const entry = this.#unfinished.recall(id);
    if (entry === null || this.#find(id)) return;
    await this.#append(entry, { url: entry.url }).probe();
  }

  /** The upload in the list with this fingerprint, finished ones aside: those may be uploaded once more. */
  #find(id) {
    return this.#uploads.find((upload) => upload.fingerprint === id && upload.state !== State.DONE);
  }

  #append(about, { file = null, url = null }) {
    const onChange = (upload, previous) => this.#changed(upload, previous);
    const options = { endpoint: this.#endpoint, unfinished: this.#unfinished, about, file, url, onChange };
    const upload = new Upload(options);
    this.#uploads.push(upload);
    this.#onChange(upload, null);
    return upload;
  }

  #changed(upload, previous) {
    if (upload.state === State.REMOVED) this.#uploads.splice(this.#uploads.indexOf(upload), 1);
    this.#onChange(upload, previous);
    this.#fillSlots();
  }

  #fillSlots() {
    // start() changes a state, and so comes back here: ask anew each time.
    for (;;) {
      if (this.#uploads.filter((upload) => upload.active).length >= MOST_ACTIVE) return;
      const next = this.#uploads.find((upload) => upload.state === State.QUEUED);
      if (next === undefined) return;
      next.start();
    }
  }
}
