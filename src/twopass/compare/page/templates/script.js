"use strict";

// Everything can be read without this. It moves one moment through a recording: its sound, the words that are spoken,
// and what a reader of each system saw just then.

const [FINAL, SECOND] = [2, 1];

class Stage {
    constructor(details) {
        const data = JSON.parse(details.querySelector(":scope > script").textContent);
        this.end = data.end;
        this.ms = data.ms;
        this.root = details.querySelector(".stage");
        this.audio = this.root.querySelector("audio");
        this.slider = this.root.querySelector("input");
        this.button = this.root.querySelector(".play");
        this.clock = this.root.querySelector(".clock");
        this.words = [...this.root.querySelectorAll(".w")].map((word) => [word, ...word.dataset.t.split(" ").map(Number)]);
        this.takes = [...this.root.querySelectorAll(".take")].map((row) => new Take(row, data.takes[row.dataset.take], data.end));
        this.playing = false;
        this.root.classList.add("live");
        this.root.querySelector(".controls").hidden = false;
        if (this.audio) this.audio.hidden = true;
        this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
        this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
        this.root.addEventListener("click", (event) => this.clicked(event.target.closest(".w")));
        this.show(this.end);
    }

    clicked(word) {
        if (!word) return;
        this.seek(Number(word.dataset.t.split(" ")[0]));
        if (!this.playing) this.play();
    }

    seek(ms) {
        if (this.audio) this.audio.currentTime = Math.min(ms, this.ms) / 1000;
        this.silent = ms >= this.ms;
        if (this.playing) this.resume();
        this.show(ms);
    }

    play() {
        for (const other of stages.values()) if (other !== this) other.pause();
        if (this.at >= this.end) this.seek(0);
        this.playing = true;
        this.button.textContent = "Pause";
        this.resume();
        this.last = performance.now();
        requestAnimationFrame((now) => this.step(now));
    }

    /** The sound ends before the last words are shown: from there on the clock alone goes on. */
    resume() {
        if (!this.audio || this.silent) return;
        this.audio.play().catch(() => { this.silent = true; });
    }

    pause() {
        this.playing = false;
        this.button.textContent = "Play";
        this.audio?.pause();
    }

    step(now) {
        if (!this.playing) return;
        const passed = now - this.last;
        this.last = now;
        if (!this.audio || this.silent) this.show(this.at + passed);
        else if (this.audio.ended) this.silent = true;
        else this.show(this.audio.currentTime * 1000);
        if (this.at >= this.end) this.pause();
        else requestAnimationFrame((next) => this.step(next));
    }

    show(ms) {
        this.at = Math.min(ms, this.end);
        this.slider.value = this.at;
        this.slider.setAttribute("aria-valuetext", seconds(this.at));
        this.clock.textContent = `${seconds(this.at)} of ${seconds(this.end)}`;
        const over = this.at >= this.end;
        for (const [word, start, end] of this.words) word.classList.toggle("now", !over && start <= this.at && this.at < end);
        for (const take of this.takes) take.show(this.at, over);
    }
}

class Take {
    constructor(row, frames, end) {
        Object.assign(this, { frames, end, shown: null });
        this.head = row.querySelector(".head");
        this.tag = row.querySelector(".tag");
        this.screen = row.querySelector(".screen");
        this.written = this.screen?.textContent;
        if (this.head) this.screen.parentNode.style.minHeight = `${this.screen.parentNode.offsetHeight}px`; // nothing jumps
    }

    show(ms, over) {
        if (!this.head) return;
        this.head.hidden = over;
        this.head.style.left = `${(100 * ms) / this.end}%`;
        this.tag.textContent = over ? "As written" : `On the screen at ${seconds(ms)}`;
        const now = over ? [] : this.latest(ms);
        const key = over ? "over" : now.map((frame) => frame[0]).join();
        if (key === this.shown) return;
        this.shown = key;
        if (over) this.screen.textContent = this.written;
        else this.screen.replaceChildren(...now.flatMap(written));
    }

    /** What a reader saw: the last of each utterance. */
    latest(ms) {
        const last = [];
        for (const frame of this.frames) {
            if (frame[0] > ms) break;
            last[frame[1]] = frame;
        }
        return last.filter(Boolean);
    }
}

function written([, , status, source, text, rewritten]) {
    const node = document.createElement("span");
    node.className = status === FINAL ? "final" : "interim";
    let at = 0;
    for (const [from, to] of source === SECOND ? rewritten : []) {
        const mark = document.createElement("mark");
        mark.textContent = text.slice(from, to);
        node.append(text.slice(at, from), mark);
        at = to;
    }
    node.append(text.slice(at));
    return [node, " "];
}

function seconds(ms) {
    return `${(ms / 1000).toFixed(1)} s`;
}

const stages = new Map();
for (const details of document.querySelectorAll(".recording")) {
    details.addEventListener("toggle", () => {
        if (!details.open) stages.get(details)?.pause();
        else if (!stages.has(details)) stages.set(details, new Stage(details));
    });
}
