// Keeps a page fresh over one socket. Places html the server drew; knows no business word.
const root = document.documentElement, find = (id) => document.getElementById(id);
const all = (what) => [...document.querySelectorAll(what)];
const seen = new Map(), stale = new Set(); // topic -> last event placed; ids to read again
let socket, wait = 500, skew = 0, lostAt = 0, stateAt, came = 0, asked, heard, readAt = 0, timer, kept = [];

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes(`zone=${zone}`)) document.cookie = `zone=${zone};path=/;max-age=31536000;samesite=lax`;

// ---- placing ----

const options = { ignoreActiveValue: true, callbacks: {
  beforeAttributeUpdated: (name) => !/^(aria-current|data-here|open|value|checked)$/.test(name),
  beforeNodeMorphed: (node) => !(node.nodeName === "DIALOG" && node.open),
} };
const busy = (node) => node.closest("dialog[open]") || node.contains(document.activeElement) && node.querySelector("dialog[open], details[open] :focus");
const parse = (html) => { const holder = document.createElement("template"); holder.innerHTML = html; return holder.content; };
const waits = (node) => node.hasAttribute("hx-get"); // its content is not there yet

function morph(old, fresh) {
  if (busy(old)) return;
  Idiomorph.morph(old, fresh, options);
  htmx.process(find(fresh.id) || old);
}
function place({ how, id, html }) {
  const fresh = parse(html).firstElementChild, there = find(fresh.id), into = find(id);
  if (there) { if (!waits(there) || waits(fresh)) morph(there, fresh); }
  else if (how === "append" && into && !waits(into)) {
    fresh.classList.add("fresh");
    into.append(fresh);
    htmx.process(fresh);
  }
  reread(all(`[data-follows="${fresh.id}"]`).map((node) => node.id));
}
// Regions read themselves again by their own GET, a moment later so that a crowd spreads out.
function reread(ids) {
  ids.forEach((id) => stale.add(id));
  if (stale.size) timer ??= setTimeout(readAgain, 100 + Math.random() * 500);
}
async function readAgain() {
  const nodes = [...stale].map(find).filter((node) => node && !waits(node)), now = Date.now() + skew;
  stale.clear(); timer = undefined;
  for (const from of new Set(nodes.map((node) => node.dataset.get || location.href))) try {
    const answer = await fetch(from), page = answer.ok && !answer.redirected && parse(await answer.text());
    if (!page) continue;
    for (const node of nodes.filter((node) => (node.dataset.get || location.href) === from)) {
      const fresh = page.getElementById(node.id);
      if (fresh) morph(node, fresh);
      if (fresh?.dataset.watch) stateAt = now;
    }
    watchAll();
  } catch { /* the socket tells of a lost connection */ }
}

let saidAt = 0;
function say({ text, urgent }) {
  if (Date.now() - saidAt < 5000 && !urgent) return;
  saidAt = Date.now();
  find(urgent ? "said-now" : "said").textContent = text;
}

// ---- what the server says: messages are lists of frames ----

const does = {
  hello({ now, build, paused }) { wait = 500; skew = Date.parse(now) - Date.now(); if (build !== root.dataset.build) root.dataset.newer = ""; if (!paused) back(); },
  alive({ now }) { skew = Date.parse(now) - Date.now(); },
  paused({ at }) { if (at) { lose(); stateAt = Date.parse(at); } else back(); },
  // The rest of a message is taken if it follows on what is placed. Doubled: dropped; a gap: asked for.
  news({ topic, after, seq }) {
    const at = seen.get(topic) ?? after;
    if (after > at) watchAll();
    if (after > at || seq <= at) return true;
    came += seq - at;
    seen.set(topic, seq);
  },
  place, say,
  stale: ({ ids }) => reread(ids),
  gap: ({ topic }) => reread(all(`[data-watch="${topic}"]`).map((node) => node.id)),
  count({ id, text }) { const node = find(id); if (node) { node.textContent = text; if (node.dataset.reload) node.hidden = !text; } },
  bye({ code }) { wait = Infinity; state(code === 4401 ? "out" : "denied"); },
};
// Frames that other scripts know come to them as events.
const take = (frame) => does[frame.do] ? does[frame.do](frame) : !document.dispatchEvent(new CustomEvent(`live:${frame.do}`, { detail: frame }));
function apply(frames) {
  // A hidden tab draws nothing until it is looked at, but its title goes on.
  if (document.hidden && kept.length < 100 && /news|place|stale|gap/.test(frames[0].do)) { kept.push(frames); return frames.filter((frame) => frame.id === "title").forEach(take); }
  const messages = [...kept, frames];
  kept = [];
  for (const message of messages) message.some(take);
}
document.addEventListener("visibilitychange", () => document.hidden || apply([]));

// ---- the socket ----

const send = (said) => socket?.readyState === 1 && (socket.send(JSON.stringify(said)), true);
function watchAll() {
  for (const node of all("[data-watch]")) {
    const { watch: topic, query, after, newest } = node.dataset;
    if (after) seen.set(topic, Math.max(+after, seen.get(topic) || 0));
    send({ do: "watch", topic, query, after: seen.get(topic) ?? (newest ? +newest : null),
      ids: after ? undefined : [...node.querySelectorAll("[data-rows] > [id]")].map((row) => row.id) });
  }
}
function connect() {
  if (!root.dataset.socket) return;
  const mine = socket = new WebSocket(location.origin.replace("http", "ws") + root.dataset.socket);
  mine.onopen = watchAll;
  mine.onmessage = (event) => { heard = true; if (mine === socket) apply(JSON.parse(event.data)); };
  mine.onclose = ({ code }) => {
    if (mine !== socket) return;
    lose();
    if (code === 4401 || code === 4403) does.bye({ code });
    if (wait === Infinity) return;
    setTimeout(() => mine === socket && connect(), wait * (0.7 + 0.6 * Math.random()));
    wait = Math.min(wait * 2, 30000);
  };
}
const words = { on: "Live", back: "Live", lost: "Connecting…", paused: "Paused", out: "Signed out", denied: "Not allowed" };
function state(name) { root.dataset.live = name; const node = find("connection-word"); if (node) node.textContent = words[name]; }
function lose() { if (!lostAt) { lostAt = Date.now(); stateAt = lostAt + skew; came = 0; } }
function back() {
  lostAt = 0;
  if (root.dataset.live !== "paused") return state("on");
  setTimeout(() => { // what was missed is here by now
    find("caught-up").textContent = `Caught up: ${came} event${came === 1 ? "" : "s"}`;
    say({ text: find("caught-up").textContent });
  }, 1000);
  find("caught-up").textContent = "Catching up…";
  state("back");
  setTimeout(() => root.dataset.live === "back" && state("on"), 8000);
}
function check() {
  const away = lostAt && wait < Infinity ? Date.now() - lostAt : 0;
  if (away > 3000) state(away > 10000 ? "paused" : "lost");
  if (away > 10000) find("paused-at").textContent = new Date(stateAt).toLocaleTimeString([], { hour12: false });
  if (away > 60000 && Date.now() - readAt > 10000) { readAt = Date.now(); reread(all("[data-watch]").map((node) => node.id)); }
}
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-try-now]") && !send({ do: "look" })) { wait = 500; connect(); }
  const reload = event.target.closest("[data-reload]");
  if (reload) { reload.hidden = true; location.assign(location.pathname + location.search); }
});

// ---- clocks ----

const pad = (n) => String(n).padStart(2, "0");
function lasted(s) {
  if (s < 59.95) return s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`;
  const m = Math.floor(Math.round(s) / 60), h = Math.floor(m / 60);
  if (m < 60) return `${m}m ${pad(Math.round(s) % 60)}s`;
  return h < 24 ? `${h}h ${pad(m % 60)}m` : `${Math.floor(h / 24)}d ${h % 24}h`;
}
setInterval(() => {
  check();
  if (document.hidden || root.dataset.live === "paused") return;
  for (const node of all("[data-since]")) node.textContent = lasted(Math.max(0, (Date.now() + skew - Date.parse(node.dataset.since)) / 1000));
}, 1000);
setInterval(() => {
  // Nothing at all since we asked: the line is dead, whatever the browser believes.
  if (asked && !heard && socket.readyState === 1) { const dead = socket; socket = undefined; dead.close(); lose(); connect(); }
  heard = false;
  asked = send({ do: "alive" });
}, 20000);
document.addEventListener("htmx:historyRestore", watchAll);
addEventListener("online", () => lostAt && wait < Infinity && connect());
connect();
