/** The upload page: connects the person's gestures, the queue and the view. */

import { formatBytes } from "./format.js";
import { Queue } from "./queue.js";
import { fingerprint, Unfinished } from "./unfinished.js";
import { State } from "./upload.js";
import { View } from "./view.js";

/** Milliseconds between two looks at speed and remaining time. */
const TICK = 250;

const endpoint = new URL(setting("tus-endpoint"), document.baseURI).href;
const maxSize = setting("tus-max-size") === "" ? null : Number(setting("tus-max-size"));
const chooser = document.getElementById("files");
const unfinished = new Unfinished(endpoint);
const view = new View({ onMain: act, onRemove: remove });
const queue = new Queue({ endpoint, maxSize, unfinished, onChange: changed });
let wanted = null; // The upload that the file chooser was opened for, if it was opened from a row.

function setting(name) {
  return document.querySelector(`meta[name="${name}"]`).content;
}

function changed(upload, previous) {
  view.show(upload);
  view.showTotals(queue.totals());
  const text = announcement(upload, previous);
  if (text !== "") view.announce(text);
}

/** What a screen reader should say; "" for what is not worth an interruption. */
function announcement({ name, state, message, failures }, previous) {
  if (state === previous) return "";
  switch (state) {
    case State.WAITING:
      return `${name} is waiting for its file: choose it again to continue`;
    case State.RETRYING:
      return failures === 1 ? `${name}: ${message}, trying again` : "";
    case State.PAUSED:
      return `${name} paused`;
    case State.FAILED:
      return `${name} failed: ${message}`;
    case State.DONE:
      return queue.busy ? `${name} done` : `${name} done. All uploads have ended.`;
    case State.REMOVED:
      return previous === State.CANCELLING ? `${name} cancelled` : `${name} removed from the list`;
    default:
      return "";
  }
}

function act(upload) {
  if (upload.state === State.WAITING) choose(upload);
  else if (upload.state === State.PAUSED || upload.state === State.FAILED) upload.resume();
  else upload.pause();
}

function remove(upload) {
  if (upload.refused || upload.state === State.DONE) upload.dismiss();
  else upload.cancel();
}

function choose(upload = null) {
  wanted = upload;
  chooser.multiple = upload === null;
  chooser.value = ""; // So that choosing the same file again counts as a change.
  chooser.click();
}

function chosen() {
  const files = [...chooser.files];
  if (wanted !== null && files.some((file) => fingerprint(endpoint, file) !== wanted.fingerprint)) {
    view.notify(`That is not the file that ${wanted.name} was: its name, size or date of change differs.`);
    return;
  }
  add(files);
}

function add(files, folders = 0) {
  const { started, repeated } = queue.add(files);
  const notes = [];
  if (repeated === 1) notes.push("A file that is already in the list was left out.");
  if (repeated > 1) notes.push(`${repeated} files that are already in the list were left out.`);
  if (folders > 0) notes.push("Folders cannot be uploaded: choose the files in them.");
  view.notify(notes.join(" "));
  if (started > 0) view.announce(started === 1 ? "1 file added" : `${started} files added`);
}

function listenToDrops() {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  const highlight = (on) => document.body.classList.toggle("dragging", on);
  for (const type of ["dragenter", "dragover"]) {
    addEventListener(type, (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault(); // Allows the drop.
      event.dataTransfer.dropEffect = "copy";
      highlight(true);
    });
  }
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) highlight(false); // It has left the window, not just an element.
  });
  addEventListener("drop", (event) => {
    highlight(false);
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    const isFolder = (item) => item.webkitGetAsEntry()?.isDirectory ?? false;
    const files = items.filter((item) => !isFolder(item)).map((item) => item.getAsFile());
    add(files, items.length - files.length);
  });
}

function refresh() {
  if (!queue.busy) return;
  queue.tick();
  for (const upload of queue.uploads) if (upload.active) view.show(upload);
  view.showTotals(queue.totals());
}

if (maxSize !== null) document.getElementById("limit").textContent = ` Up to ${formatBytes(maxSize)} per file.`;
document.getElementById("choose").addEventListener("click", () => choose());
document.getElementById("clear").addEventListener("click", () => {
  queue.dismissDone();
  document.getElementById("choose").focus();
});
chooser.addEventListener("change", chosen);
listenToDrops();
addEventListener("offline", () => queue.connectionLost());
addEventListener("online", () => queue.connectionBack());
addEventListener("beforeunload", (event) => {
  if (queue.busy) event.preventDefault(); // The browser asks whether to leave.
});
setInterval(refresh, TICK);
queue.restore();
