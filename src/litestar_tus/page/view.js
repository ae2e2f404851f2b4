/** What is to be seen: the list of uploads, the total, messages. Knows no protocol. */

import { formatBytes, formatDuration } from "./format.js";
import { State } from "./upload.js";

const byId = (id) => document.getElementById(id);

/** The main button of a row: its icon and what it does, by the state of the upload. */
const MAIN_ACTIONS = {
  [State.WAITING]: { icon: "choose", label: (name) => `Choose ${name} again to continue` },
  [State.QUEUED]: { icon: "pause", label: (name) => `Pause ${name}` },
  [State.UPLOADING]: { icon: "pause", label: (name) => `Pause ${name}` },
  [State.RETRYING]: { icon: "pause", label: (name) => `Pause ${name}` },
  [State.PAUSED]: { icon: "resume", label: (name) => `Resume ${name}` },
  [State.FAILED]: { icon: "retry", label: (name) => `Try ${name} again` },
};

export class View {
  #rows = new Map();
  #onMain;
  #onRemove;

  /**
   * @param {object} handlers
   * @param {(upload: object) => void} handlers.onMain a row's main button: pause, resume, retry or choose
   * @param {(upload: object) => void} handlers.onRemove a row's other button
   */
  constructor({ onMain, onRemove }) {
    this.#onMain = onMain;
    this.#onRemove = onRemove;
  }

  /** Adds the row of an upload, or brings it up to date, or removes it. */
  show(upload) {
    if (upload.state === State.REMOVED) {
      this.#remove(upload);
      return;
    }
    const row = this.#rows.get(upload) ?? this.#add(upload);
    row.dataset.state = upload.state;
    const progress = row.querySelector("progress");
    progress.value = share(upload.sent, upload.size, upload.state === State.DONE);
    setText(row.querySelector(".status-text"), statusOf(upload));
    showIcon(row.querySelector(".status-icon"), { [State.DONE]: "done", [State.FAILED]: "failed" }[upload.state]);
    showButtons(row, upload);
  }

  /** @param {ReturnType<import("./queue.js").Queue["totals"]>} totals */
  showTotals(totals) {
    byId("total").hidden = totals.files === 0;
    byId("clear").hidden = totals.done === 0;
    const [files, bytes] = summaryOf(totals);
    setText(byId("total-files"), files);
    setText(byId("total-bytes"), bytes);
    const complete = totals.done === totals.files;
    byId("total-progress").value = share(totals.sent, totals.bytes, complete);
    const percent = Math.floor(100 * share(totals.sent, totals.bytes, complete));
    document.title = totals.running ? `${percent} % – Upload files` : "Upload files";
  }

  /** Says something that everybody should see; "" takes it away. */
  notify(text) {
    byId("notice").hidden = text === "";
    byId("notice").textContent = text;
  }

  /** Says something to screen readers that others see in the list. */
  announce(text) {
    byId("announcer").textContent = text;
  }

  #add(upload) {
    const row = byId("row").content.firstElementChild.cloneNode(true);
    row.querySelector(".name").textContent = upload.name;
    row.querySelector(".name").title = upload.name;
    row.querySelector(".size").textContent = formatBytes(upload.size);
    row.querySelector("progress").setAttribute("aria-label", `Progress of ${upload.name}`);
    button(row, "main").addEventListener("click", () => this.#onMain(upload));
    button(row, "remove").addEventListener("click", () => this.#onRemove(upload));
    byId("uploads").append(row);
    this.#rows.set(upload, row);
    return row;
  }

  #remove(upload) {
    const row = this.#rows.get(upload);
    if (row.contains(document.activeElement)) {
      // Keep the place of somebody who works by keyboard.
      const neighbour = row.nextElementSibling ?? row.previousElementSibling;
      (neighbour ? button(neighbour, "remove") : byId("choose")).focus();
    }
    row.remove();
    this.#rows.delete(upload);
  }
}

/** In one sentence how an upload stands. */
export function statusOf(upload) {
  const { state, message, size, sent } = upload;
  const part = `${formatBytes(sent)} of ${formatBytes(size)}`;
  switch (state) {
    case State.WAITING:
      return `Waiting for the file: choose it again to continue (${part} sent)`;
    case State.QUEUED:
      return "Waiting for its turn";
    case State.UPLOADING:
      return [part, ...pace(upload.bytesPerSecond, size - sent)].join(" · ");
    case State.RETRYING: {
      if (!navigator.onLine) return `No network: goes on by itself when it is back (${part} sent)`;
      const wait = Math.ceil(upload.retryIn);
      return wait > 0 ? `${message}, trying again in ${formatDuration(wait)}` : `${message}, trying again`;
    }
    case State.PAUSED:
      return `Paused · ${part}`;
    case State.FAILED:
      return message;
    case State.CANCELLING:
      return "Cancelling";
    case State.DONE:
      return "Done";
  }
}

/** How everything stands, in files and in bytes. */
export function summaryOf({ files, done, failed, running, bytes, sent, bytesPerSecond }) {
  const trouble = failed === 0 ? [] : [`${failed} failed`];
  if (done === files && !running) {
    const all = files === 1 ? "1 file uploaded" : `All ${files} files uploaded`;
    return [[all, ...trouble].join(", "), formatBytes(bytes)];
  }
  const some = `${done} of ${files} ${files === 1 ? "file" : "files"} done`;
  const part = `${formatBytes(sent)} of ${formatBytes(bytes)}`;
  return [[some, ...trouble].join(", "), [part, ...pace(bytesPerSecond, bytes - sent)].join(" · ")];
}

function pace(bytesPerSecond, bytesLeft) {
  if (bytesPerSecond < 1) return [];
  return [`${formatBytes(bytesPerSecond)}/s`, `${formatDuration(bytesLeft / bytesPerSecond)} left`];
}

function share(sent, size, complete) {
  if (complete) return 1;
  return size === 0 ? 0 : sent / size;
}

function showButtons(row, { name, state, refused }) {
  const main = button(row, "main");
  const remove = button(row, "remove");
  const action = refused ? undefined : MAIN_ACTIONS[state];
  if (action === undefined) {
    if (main === document.activeElement) remove.focus();
  } else {
    label(main, action.label(name));
    showIcon(main.querySelector("svg"), action.icon);
  }
  main.hidden = action === undefined;
  const local = refused || state === State.DONE;
  label(remove, local ? `Remove ${name} from the list` : `Cancel ${name}`);
  remove.setAttribute("aria-disabled", String(state === State.CANCELLING));
}

function button(row, action) {
  return row.querySelector(`[data-action="${action}"]`);
}

function label(element, text) {
  if (element.title === text) return;
  element.title = text;
  element.setAttribute("aria-label", text);
}

function showIcon(svg, name) {
  svg.toggleAttribute("hidden", name === undefined);
  if (name !== undefined) svg.querySelector("use").setAttribute("href", `#icon-${name}`);
}

/** Leaves equal text alone, so that a selection in it survives. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
