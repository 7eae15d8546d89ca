// The three ways to speak: microphone, recording, sample. Each gives 16 kHz s16 chunks, channels interleaved.
//
// A source is { channels, realtime, start(onChunk, drained), stop(), finished }: `finished` resolves when it has run out,
// `stop()` when its last chunk has been handed over, and `drained()`, which the caller gives, when it can take more.

import { s16 } from "./resample.js";

export const RATE = 16_000;
const POUR_FRAMES = RATE / 5;

/** Something the person can do something about. */
export class SourceProblem extends Error {
  constructor(message, fix) {
    super(message);
    this.fix = fix;
  }
}

export async function microphone() {
  if (!navigator.mediaDevices?.getUserMedia) {
    const fix = "Open it over https://, or on the server's own machine as http://localhost.";
    throw new SourceProblem("The browser keeps the microphone from this page.", fix);
  }
  // Everything slow comes before the microphone opens, so that the first word is not lost.
  const context = await audioContext();
  // What makes a call pleasant (noise gates, echo cancelling) takes sounds away that a recognizer wants to hear.
  const wish = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: wish });
  } catch (problem) {
    await context.close();
    throw microphoneProblem(problem);
  }
  const node = context.createMediaStreamSource(stream);
  const [track] = stream.getAudioTracks();
  const unplugged = new Promise((resolve) => track.addEventListener("ended", resolve, { once: true }));
  return live(context, node, 1, { finished: unplugged, release: () => track.stop() });
}

function microphoneProblem({ name, message }) {
  const known = {
    NotAllowedError: ["The microphone was refused.", "Allow it in the address bar and press Microphone again."],
    NotFoundError: ["There is no microphone.", "Connect one, or open a file."],
    NotReadableError: ["Another program holds the microphone.", "Close that program and press Microphone again."],
  };
  const unknown = [`The microphone did not start: ${message}`, "Open a file, or try another browser."];
  return new SourceProblem(...(known[name] ?? unknown));
}

/** Read a recording: 16 kHz, two channels if they are to be kept apart and there are two, else one. */
export async function decode(bytes, name, { separate = false } = {}) {
  let sound;
  try {
    sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
  } catch {
    const fix = "Choose a recording as WAV, MP3, M4A, FLAC, Ogg or WebM.";
    throw new SourceProblem(`This browser cannot read “${name}”.`, fix);
  }
  const channels = separate && sound.numberOfChannels > 1 ? 2 : 1;
  if (sound.numberOfChannels === channels) return sound;
  const mixer = new OfflineAudioContext(channels, sound.length, RATE);
  const node = new AudioBufferSourceNode(mixer, { buffer: sound });
  node.connect(mixer.destination);
  node.start();
  return mixer.startRendering();
}

/** Play a recording aloud and give it at the speed at which it is heard. */
export async function aloud(sound) {
  const context = await audioContext({ sampleRate: RATE });
  const node = new AudioBufferSourceNode(context, { buffer: sound });
  node.connect(context.destination);
  const finished = new Promise((resolve) => node.addEventListener("ended", resolve, { once: true }));
  return live(context, node, sound.numberOfChannels, { finished, begin: () => node.start() });
}

/** Give a recording as fast as the connection takes it. */
export function poured(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index));
  let stopped = false;
  const { promise: finished, resolve } = deferred();
  const start = async (onChunk, drained) => {
    for (let at = 0; at < sound.length && !stopped; at += POUR_FRAMES) {
      await drained();
      onChunk(interleaved(channels, at, Math.min(at + POUR_FRAMES, sound.length)));
    }
    resolve();
  };
  const stop = () => {
    stopped = true;
    return finished;
  };
  return { channels: channels.length, realtime: false, start, stop, finished };
}

function interleaved(channels, from, to) {
  const chunk = new Int16Array((to - from) * channels.length);
  let filled = 0;
  for (let frame = from; frame < to; frame++) {
    for (const channel of channels) chunk[filled++] = s16(channel[frame]);
  }
  return chunk;
}

/** What a node plays, by way of the worklet. */
function live(context, node, channels, { finished, begin = () => {}, release = () => {} }) {
  const tap = new AudioWorkletNode(context, "tap", {
    channelCount: channels,
    channelCountMode: "explicit",
    outputChannelCount: [1],
    processorOptions: { channels },
  });
  const { promise: flushed, resolve } = deferred();
  const start = (onChunk) => {
    tap.port.onmessage = ({ data }) => (data ? onChunk(data) : resolve());
    // Its output is silence; without a way to the loudspeaker some browsers would not run it.
    node.connect(tap).connect(context.destination);
    begin();
  };
  const end = async () => {
    tap.port.postMessage("finish");
    await Promise.race([flushed, sleep(1000)]);
    release();
    await context.close();
  };
  let ending = null; // a lost connection and a press on Stop may both end it
  const stop = () => (ending ??= end());
  return { channels, realtime: true, start, stop, finished };
}

async function audioContext(options) {
  const context = new AudioContext(options);
  await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
  // Without a click or a key before it, a browser leaves this waiting for ever. Dropping a file does not count as one.
  await Promise.race([context.resume(), sleep(3000)]);
  if (context.state === "running") return context;
  await context.close();
  const fix = "Click anywhere on the page, and drop the file again.";
  throw new SourceProblem("The browser lets no page play sound before it was clicked.", fix);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
