// Wires the buttons to sources and sessions, and sessions to the views. One session at a time.

import { byId } from "./dom.js";
import { keep, offerDrop, offerKeys, token, wakeLock } from "./comforts.js";
import { duration } from "./formats.js";
import * as panel from "./panel.js";
import { EMPTY, finals } from "./protocol.js";
import { Session } from "./session.js";
import { aloud, decode, microphone, poured } from "./sources.js";
import { TranscriptView } from "./view.js";

const STARTS = ["microphone", "file", "sample"].map(byId);

const view = new TranscriptView();
let profiles = [];
let session = null; // the running one, or the last one
let attempt = null; // from the press of a button until its session is over

async function begin(trigger, profile, prepare) {
  if (attempt) return;
  const unsleep = wakeLock();
  const over = ({ health, text, problem }) => {
    attempt = null;
    unsleep();
    setRunning(false, trigger);
    panel.clearNotices();
    panel.showStatus(health, text);
    if (problem) panel.showProblem(problem);
  };
  // Permissions and decoding may take as long as they like; Stop works meanwhile.
  const mine = { cancel: () => over({ health: "idle", text: "Ready" }) };
  attempt = mine;
  setRunning(true, trigger);
  putAside();
  panel.showStatus("warn", "Starting…");
  try {
    const source = await prepare();
    if (attempt !== mine) {
      source.stop();
      return;
    }
    session = new Session(source, profile || null, token, { onMessage, onLevel, onStatus: refresh, onOver: over });
    refresh();
  } catch ({ message, fix = "Reload the page and try again." }) {
    if (attempt === mine) over({ health: "idle", text: "Ready", problem: { message, fix } });
  }
}

function onMessage(message, before) {
  if (message.type === "segment") view.show(message, before, session);
  else if (message.type === "session") panel.showPasses(session.state.passes);
  else if (message.type === "cost") panel.showCost(message);
  else if (message.type === "gap") view.showGap(message);
  else if (message.type === "expiring") panel.showNotice(...expiry(message));
  else if (message.type === "budget") panel.showNotice(...budget(message));
  else if (message.type === "error" && message.code !== "no_audio") panel.showProblem(message); // that is a status
  refresh();
}

function expiry({ in_seconds: seconds }) {
  return [`The server ends this session in ${duration(1000 * seconds)}.`, "What is said until then becomes final; after that, start a new one."];
}

const AFTER = {
  warn: "Nothing else changes.",
  cheaper: "From then on a cheaper recognizer shows the first words; the second pass stays.",
  refuse: "From then on sessions end, with their final words, and no new one begins.",
};

function budget({ state, period, policy, share }) {
  const far = state === "spent" ? "is spent" : `is spent to ${Math.floor(100 * share)} %`;
  return [`The budget of this ${period} ${far}.`, AFTER[policy]];
}

function onLevel(level) {
  byId("level").firstElementChild.style.transform = `scaleX(${level.toFixed(2)})`;
}

function refresh() {
  const { state, latencies, status, finishing } = session;
  panel.showStatus(status.health, status.text);
  panel.showFigures(state, latencies);
  panel.enableExports(state.settled.size > 0);
  byId("level").classList.toggle("speaking", state.speaking.size > 0);
  if (finishing) {
    byId("stop-text").textContent = "Stop waiting";
    byId("level").hidden = true;
  }
}

function stop() {
  if (!attempt) return;
  if (!session) attempt.cancel();
  else if (session.finishing) session.abandon();
  else session.finish();
}

/** Focus goes along from the button that started to Stop and back, so that the keyboard is never lost. */
function setRunning(running, trigger) {
  const button = byId("stop");
  const [from, to] = running ? [trigger, button] : [button, trigger];
  const held = document.activeElement === from;
  for (const start of STARTS) start.hidden = running;
  byId("options").hidden = running;
  button.hidden = !running;
  byId("stop-text").textContent = "Stop";
  byId("level").hidden = !running;
  if (held) to.focus();
}

/** A new session begins with an empty sheet. What was on it can still be saved. */
function putAside() {
  panel.clearProblems();
  if (session?.state.settled.size) {
    const { state, separate } = session;
    panel.showOffer("A new transcript begins.", "Save the one before", () => keep.save("txt", finals(state), { separate }));
  }
  session = null;
  view.clear();
  panel.enableExports(false);
  panel.showCost(null);
  panel.showFigures(EMPTY, null);
}

async function recording(name, bytes) {
  const sound = await decode(await bytes, name, { separate: byId("separate").checked });
  return byId("fast").checked ? poured(sound) : aloud(sound);
}

async function bundled() {
  const answer = await fetch("/static/sample.wav");
  return aloud(await decode(await answer.arrayBuffer(), "sample.wav"));
}

const chosen = () => byId("profile").value;
const open = (file) => begin(byId("file"), chosen(), () => recording(file.name, file.arrayBuffer()));
const speak = () => begin(byId("microphone"), chosen(), microphone);
// The sample was made for the small models of this profile, which need no download.
const demonstrate = () => begin(byId("sample"), profiles.some(({ name }) => name === "demo") ? "demo" : chosen(), bundled);

function showChosen() {
  const { first_pass: first, second_pass: second, error } = profiles.find(({ name }) => name === chosen());
  if (error) panel.showUnavailable(error);
  else panel.showPasses({ first, second });
}

byId("microphone").addEventListener("click", speak);
byId("sample").addEventListener("click", demonstrate);
byId("stop").addEventListener("click", stop);
byId("file").addEventListener("click", () => byId("file-input").click());
byId("file-input").addEventListener("change", ({ target }) => {
  if (target.files.length) open(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
byId("profile").addEventListener("change", showChosen);
keep.offer(() => ({ segments: session ? finals(session.state) : [], separate: session?.separate ?? false }));
offerDrop(open);
offerKeys({ speak: () => (attempt ? stop() : speak()), demonstrate, jump: () => view.jump() });
window.addEventListener("beforeunload", (event) => {
  if (attempt) event.preventDefault();
});

panel.showCost(null);
panel.showStatus("warn", "Waiting for the models…"); // a server that has just started loads them first
try {
  const answer = await (await fetch("/v1/profiles")).json();
  profiles = answer.profiles;
  panel.showProfiles(answer);
  if (!attempt) {
    showChosen();
    panel.showStatus("idle", "Ready");
  }
} catch {
  panel.showStatus("bad", "The server does not answer");
  const fix = "Start it with `twopass serve` and reload this page.";
  panel.showProblem({ message: "The server did not say which models it has.", fix });
}
