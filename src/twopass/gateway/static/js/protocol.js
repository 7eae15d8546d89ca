// The messages of /v1/stream as a transcript. Pure: reduce(state, message) gives the next state and touches nothing.
//
// Utterances lie in two maps so that an interim copies only the few that are still open, not the whole session.

export const EMPTY = Object.freeze({
  session: null,
  profile: null,
  passes: null, // { first, second } as the server describes them, and who also hears it: { shadow }
  open: new Map(), // id -> newest segment, not final yet
  settled: new Map(), // id -> final segment
  words: 0,
  rewritten: 0,
  audioMs: 0,
  speaking: new Set(), // channels in which the voice detector hears somebody
  troubles: new Map(), // "pass/channel" -> the provider message that says what is wrong
  behind: new Set(), // channels whose first pass skips sound because it cannot keep up
  quiet: false, // the server waits for sound
  cost: null,
  errors: [], // what the server said was wrong, oldest first
  ended: null, // the server's summary, once every utterance is final
});

/** The state after a message. Kinds of message that are not known here change nothing, so that a server may add some. */
export function reduce(state, message) {
  return Object.hasOwn(reducers, message.type) ? reducers[message.type](state, message) : state;
}

const reducers = {
  session: (state, { session, profile, first_pass: first, second_pass: second, shadow }) => ({
    ...state, session, profile, passes: { first, second, shadow },
  }),
  segment,
  speech(state, { state: now, channel = 0 }) {
    const speaking = new Set(state.speaking);
    if (now === "started") speaking.add(channel);
    else speaking.delete(channel);
    return { ...state, speaking };
  },
  ack: (state, { samples }) => ({ ...state, quiet: false, audioMs: Math.max(state.audioMs, Math.floor(samples / 16)) }),
  backpressure(state, { state: now, channel = 0 }) {
    const behind = new Set(state.behind);
    if (now === "skipping") behind.add(channel);
    else behind.delete(channel);
    return { ...state, behind };
  },
  provider(state, message) {
    const troubles = new Map(state.troubles);
    const key = `${message.pass}/${message.channel ?? 0}`;
    if (message.state === "recovered") troubles.delete(key);
    else troubles.set(key, message);
    return { ...state, troubles };
  },
  cost: (state, message) => ({ ...state, cost: message, audioMs: Math.max(state.audioMs, message.audio_ms) }),
  error: (state, message) => ({
    ...state, errors: [...state.errors, message], quiet: state.quiet || message.code === "no_audio",
  }),
  end: (state, message) => ({
    ...state, ended: message, audioMs: message.audio_ms, speaking: new Set(), behind: new Set(), quiet: false,
  }),
};

function segment(state, next) {
  const known = latest(state, next.id);
  // Revisions may come twice or late; the highest one is the truth, and a final whatever its number.
  const final = next.status === "final";
  if (known && (known.status === "final" || (!final && known.revision >= next.revision))) return state;
  const open = new Map(state.open);
  const settled = final ? new Map(state.settled) : state.settled;
  if (final) {
    open.delete(next.id);
    settled.set(next.id, next);
  } else {
    open.set(next.id, next);
  }
  return {
    ...state, open, settled,
    words: state.words + next.words.length - (known?.words.length ?? 0),
    rewritten: state.rewritten + (next.rewritten?.length ?? 0) - (known?.rewritten?.length ?? 0),
  };
}

/** The newest revision of an utterance, or undefined. */
export function latest(state, id) {
  return state.settled.get(id) ?? state.open.get(id);
}

/** The order in which utterances are read. */
export function compare(a, b) {
  return a.start - b.start || (a.channel ?? 0) - (b.channel ?? 0);
}

/** Everything that is shown, in reading order. */
export function transcript(state) {
  return [...state.settled.values(), ...state.open.values()].sort(compare);
}

/** What will not change any more, in reading order. */
export function finals(state) {
  return [...state.settled.values()].sort(compare);
}

/** Words as a person writes them: a space between them unless glued. */
export function textOf(words) {
  return words.map((word, index) => (index && !word.glued ? ` ${word.text}` : word.text)).join("");
}

/** The words of a segment, cut where the speaker changes: [{ speaker, words }]. */
export function turns(segment) {
  const found = [];
  for (const word of segment.words) {
    const speaker = word.speaker ?? null;
    if (found.at(-1)?.speaker !== speaker || !found.length) found.push({ speaker, words: [] });
    found.at(-1).words.push(word);
  }
  return found;
}

/** Who is meant by a channel, for people. They count from 1. */
export function channelLabel(segment) {
  return `Channel ${(segment.channel ?? 0) + 1}`;
}

/** The words of a status for what is not well, or null. */
export function troubleText({ troubles, behind, quiet }) {
  const words = { retrying: "is being tried again", failed: "has failed" };
  const told = [...troubles.values()].map((trouble) => {
    const { pass, provider, state, reason, to } = trouble;
    if (state === "switched") return `${to} now shows the first words instead of ${provider}: ${reason}`;
    return `${pass === "first" ? "First" : "Second"} pass (${provider}) ${words[state] ?? state}: ${reason}`;
  });
  if (behind.size) told.push("The first pass is behind: words come late, finals are complete");
  if (quiet) told.push("No sound arrives: the session waits for it");
  return told.length ? [...new Set(told)].join(" ") : null;
}
