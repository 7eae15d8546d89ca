// What makes the page pleasant and is not about speech: saving, dropping files, keys, keeping the screen awake.

import * as formats from "./formats.js";
import { showProblem } from "./panel.js";
import { byId, element } from "./dom.js";

const KINDS = {
  txt: { type: "text/plain", write: formats.toText },
  srt: { type: "application/x-subrip", write: formats.toSrt },
  vtt: { type: "text/vtt", write: formats.toVtt },
  json: { type: "application/json", write: formats.toJson },
};

export const keep = {
  save(format, segments, options) {
    const { type, write } = KINDS[format];
    const url = URL.createObjectURL(new Blob([write(segments, options)], { type: `${type};charset=utf-8` }));
    const local = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString();
    const when = local.slice(0, 16).replace("T", "-").replace(":", "");
    element("a", { href: url, download: `twopass-${when}.${format}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // some browsers read it late
  },

  /** Bring the buttons to life. `current()` gives { segments, separate }. */
  offer(current) {
    for (const button of document.querySelectorAll("[data-format]")) {
      button.addEventListener("click", () => {
        const { segments, separate } = current();
        keep.save(button.dataset.format, segments, { separate });
      });
    }
    byId("copy").addEventListener("click", async () => {
      const { segments, separate } = current();
      try {
        await navigator.clipboard.writeText(formats.toText(segments, { separate }));
        byId("copied").textContent = "Copied";
        setTimeout(() => byId("copied").replaceChildren(), 2500);
      } catch {
        showProblem({ message: "The browser does not let this page copy.", fix: "Save the transcript as txt instead." });
      }
    });
  },
};

/**
 * What was given in the address, as `#token=…`, by whoever made the link: it opens the door of a server that wants keys. It is
 * taken out of the address at once, so that nobody shares or photographs it; one that expires may be replaced the same way.
 */
let given = null;
export const token = () => given;

function takeToken() {
  const fields = new URLSearchParams(location.hash.slice(1));
  if (!fields.has("token")) return;
  given = fields.get("token") || null;
  history.replaceState(null, "", location.pathname + location.search);
}
takeToken();
addEventListener("hashchange", takeToken);

/** Files may be dropped anywhere: a small target is a game of skill. */
export function offerDrop(open) {
  const carriesFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  const show = (visible) => {
    byId("drop").hidden = !visible;
  };
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    show(true);
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) show(false);
  });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    show(false);
    const [file] = event.dataTransfer.files;
    if (file) open(file);
  });
}

/** Keys always come with Ctrl or ⌘, so that they take no letter from people who dictate or use a screen reader. */
export function offerKeys({ speak, demonstrate, jump }) {
  const help = byId("help");
  const openHelp = () => {
    if (!help.open) help.showModal();
  };
  byId("help-open").addEventListener("click", openHelp);
  addEventListener("keydown", (event) => {
    const { key, shiftKey, repeat, target } = event;
    // A key that is held down must not start and stop in turns.
    if (repeat && target instanceof HTMLButtonElement && (key === "Enter" || key === " ")) event.preventDefault();
    // A tooltip must be able to go away without moving on.
    if (key === "Escape" && target instanceof HTMLButtonElement && target.hasAttribute("aria-describedby")) target.blur();
    if (!(event.ctrlKey || event.metaKey) || repeat || help.open) return;
    const action = { Enter: shiftKey ? demonstrate : speak, "/": openHelp, End: jump }[key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Keep the screen of a phone on while it listens. Returns what lets it sleep again. */
export function wakeLock() {
  const lock = navigator.wakeLock?.request("screen").catch(() => null);
  return async () => (await lock)?.release();
}
