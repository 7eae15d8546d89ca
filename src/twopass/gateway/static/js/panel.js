// All that stands around the transcript: status, models, figures, cost, and what went wrong.

import { clock } from "./formats.js";
import { byId, element, prose } from "./dom.js";
import { hourly, passCost, total } from "./money.js";

const PASSES = [["first", "First pass"], ["second", "Second pass"]];

/** The dot and its words. `health` is idle, good, warn or bad. */
export function showStatus(health, text) {
  byId("status").dataset.health = health;
  // Only real changes: a live region reads out whatever is written to it.
  if (byId("status-text").textContent !== text) byId("status-text").textContent = text;
}

export function showProfiles({ default: usual, profiles }) {
  byId("profile").replaceChildren(...profiles.map(({ name, title, error }) =>
    element("option", { value: name, selected: name === usual }, (title || name) + (error ? " (not available)" : ""))));
}

/** A profile that cannot be used says why. */
export function showUnavailable(error) {
  byId("models").replaceChildren(element("p", { className: "fine" }, "This profile is not available."));
  byId("notices").replaceChildren(element("p", { className: "notice" }, ...prose(error)));
}

/** Which models speak, and what they can and cannot understand. */
export function showPasses(passes) {
  byId("models").replaceChildren(...PASSES.map(([key, title]) => {
    const { provider, model, understands } = passes[key];
    return element("div", { className: "model" },
      element("h3", {}, title, element("span", {}, provider)),
      element("p", { className: "name" }, model),
      element("p", { className: "fine" }, ...prose(understands)));
  }));
  if (passes.shadow) {
    byId("models").append(element("p", { id: "shadow", className: "fine" }, `Also heard by ${passes.shadow}, for comparison.`));
  }
  const notices = PASSES.filter(([key]) => passes[key].notice);
  byId("notices").replaceChildren(...notices.map(([key, title]) =>
    element("p", { className: "notice" }, element("strong", {}, `${title}: `), ...prose(passes[key].notice))));
}

export function showFigures(state, latencies) {
  for (const kind of ["partial", "final"]) {
    byId(`${kind}-last`).textContent = duration(latencies?.[kind].last ?? null);
    byId(`${kind}-median`).textContent = duration(latencies?.[kind].median ?? null);
  }
  byId("audio").textContent = clock(state.audioMs);
  byId("words").textContent = state.words.toLocaleString("en");
  const share = state.words ? ` (${Math.round((100 * state.rewritten) / state.words)} %)` : "";
  byId("rewritten").textContent = state.rewritten.toLocaleString("en") + (state.rewritten ? share : "");
}

/** What each pass cost. Where no price is known it says so: unknown is not free. */
export function showCost(cost) {
  const rows = PASSES.map(([key, title]) => {
    const mine = cost?.lines.filter((line) => line.pass === key) ?? [];
    const used = mine.map((line) => `${line.provider}, ${line.seconds.toFixed(1)} s ${line.clock.replaceAll("_", " ")}`);
    return costRow(title, cost ? passCost(mine) : "–", used.join("; "));
  });
  byId("cost").replaceChildren(...rows, costRow("Together", cost ? total(cost) : "–", cost ? hourly(cost) : ""));
  const unpriced = cost?.unpriced ?? [];
  byId("unpriced").hidden = !unpriced.length;
  byId("unpriced").textContent = unpriced.length ? `No price known, and not counted: ${unpriced.join(", ")}.` : "";
}

function costRow(title, value, used) {
  const row = element("div", {}, element("dt", {}, title), element("dd", {}, value));
  if (used) row.append(element("dd", { className: "fine" }, used));
  return row;
}

export function enableExports(enabled) {
  for (const button of document.querySelectorAll("#copy, [data-format]")) button.disabled = !enabled;
}

/** Tell what went wrong and what to do about it. It stays until it is put away or the next session begins. */
export function showProblem({ message, fix = "", code = "" }) {
  const away = element("button", { type: "button", className: "quiet" }, "Dismiss");
  const problem = element("div", { className: "problem" },
    element("p", {}, element("strong", {}, ...prose(message)), " ", ...prose(fix)), away);
  if (code) problem.dataset.code = code;
  away.addEventListener("click", () => problem.remove());
  byId("problems").append(problem);
}

/** Something to know in advance. */
export function showNotice(message, more) {
  const text = element("p", {}, element("strong", {}, message), ` ${more}`);
  byId("problems").append(element("div", { className: "problem early" }, text));
}

/** What was to be known in advance has happened. */
export function clearNotices() {
  for (const notice of document.querySelectorAll(".problem.early")) notice.remove();
}

/** Something to know, with one thing that can be done about it. */
export function showOffer(message, label, action) {
  const button = element("button", { type: "button", className: "quiet" }, label);
  button.addEventListener("click", action);
  byId("problems").append(element("div", { className: "problem offer" }, element("p", {}, message), button));
}

export function clearProblems() {
  byId("problems").replaceChildren();
}

function duration(ms) {
  if (ms === null) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

