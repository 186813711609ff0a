// Keeps an open page true: listens for the daemon's beats, swaps sections for those of a younger page, counts durations on,
// and says "stale since" as soon as the beats stay away. It draws nothing: the server's pages are whole without it.
"use strict";
(() => {
  const STALE_AFTER_MS = 3000;
  const RETRY_AFTER_MS = 1000;
  const REFRESH_EVERY_MS = 10000;
  const main = document.getElementById("main");
  const stale = document.getElementById("stale");
  const live = document.getElementById("live");
  if (!main || !stale || !live || main.dataset.revision === undefined) return;

  let asOf = Number(document.getElementById("age").dataset.asOf);
  let offset = asOf - Date.now(); // the daemon's clock less ours
  let beatAt = Date.now();
  let shownAt = Date.now();
  let late = 0;
  let fetching = false;
  let source = null;

  const utc = (ms) => new Date(ms).toISOString().slice(11, 19) + "Z";
  const local = (ms) => new Date(ms).toTimeString().slice(0, 5) + " local";

  function human(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const two = (n) => String(n).padStart(2, "0");
    if (s < 60) return s + "s";
    if (s < 3600) return Math.floor(s / 60) + "m" + (s % 60 ? two(s % 60) + "s" : "");
    return Math.floor(s / 3600) + "h" + two(Math.floor((s % 3600) / 60)) + "m";
  }

  function setText(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  async function refresh() {
    if (fetching) return;
    fetching = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const younger = page.getElementById("main");
      if (!younger) return;
      for (const next of page.querySelectorAll("[data-live]")) {
        const known = document.getElementById(next.id);
        if (known && known.outerHTML !== next.outerHTML) swap(known, next);
      }
      main.dataset.revision = younger.dataset.revision;
      document.title = page.title;
      document.body.className = page.body.className + (document.body.classList.contains("is-stale") ? " is-stale" : "");
      const icon = page.querySelector("link[rel=icon]");
      if (icon) document.querySelector("link[rel=icon]").href = icon.getAttribute("href");
      shownAt = Date.now();
    } catch {
      // The beats say whether the daemon lives.
    } finally {
      fetching = false;
    }
  }

  // What a person has opened, focused or scrolled stays so; what a screen reader was told is not told again.
  function swap(known, next) {
    for (const open of known.querySelectorAll("details[open][id]")) {
      const same = next.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    const verdict = known.querySelector("[aria-live]");
    const said = next.querySelector("[aria-live]");
    if (verdict && said) {
      if (verdict.innerHTML !== said.innerHTML) verdict.innerHTML = said.innerHTML;
      said.replaceWith(verdict);
    }
    const active = document.activeElement;
    const path = known.contains(active) && active !== known ? where(known, active) : null;
    const adopted = document.adoptNode(next);
    known.replaceWith(adopted);
    if (path) {
      const again = path.reduce((at, index) => at && at.children[index], adopted);
      if (again && again.focus) again.focus({ preventScroll: true });
    }
  }

  function where(root, element) {
    const path = [];
    for (let at = element; at !== root; at = at.parentElement) {
      path.unshift([...at.parentElement.children].indexOf(at));
    }
    return path;
  }

  function listen() {
    if (source) source.close();
    source = new EventSource("/events?cluster=" + encodeURIComponent(main.dataset.cluster));
    source.addEventListener("beat", (event) => {
      const beat = JSON.parse(event.data);
      beatAt = Date.now();
      asOf = beat.as_of_ms;
      late = beat.late_ms;
      offset = asOf + late - beatAt;
      if (String(beat.revision) !== main.dataset.revision || beatAt - shownAt > REFRESH_EVERY_MS) refresh();
      tick();
    });
  }

  function tick() {
    const now = Date.now();
    const age = now - beatAt + late;
    if (age > STALE_AFTER_MS) {
      document.body.classList.add("is-stale");
      stale.className = "stale";
      // The text changes once, so that a screen reader says it once; the age stands beside the headline.
      setText(stale, "✗ Stale since " + utc(asOf) + ": the daemon does not answer. What is shown is that old.");
      setText(live, "✗ stale for " + human(age) + ", as of");
    } else {
      document.body.classList.remove("is-stale");
      stale.className = "stale off";
      setText(stale, "");
      setText(live, "● live");
    }
    const time = document.querySelector("#age time");
    setText(time, utc(asOf));
    setText(document.getElementById("local"), " / " + local(asOf));
    if (age <= STALE_AFTER_MS) {
      for (const counted of document.querySelectorAll("[data-since]")) {
        setText(counted, human(now + offset - Number(counted.dataset.since)));
      }
    }
  }

  document.addEventListener("visibilitychange", () => {
    // A page that nobody looks at gives its place to others.
    if (document.hidden) {
      if (source) source.close();
      source = null;
    } else if (!source) {
      listen();
    }
  });

  setInterval(() => {
    tick();
    if (!document.hidden && (!source || source.readyState === EventSource.CLOSED)) listen();
  }, RETRY_AFTER_MS);
  listen();
  tick();
})();
