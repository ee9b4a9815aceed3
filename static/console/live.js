// Keeps a page fresh over one socket. Places html the server drew; knows no business word.
const root = document.documentElement, find = (id) => document.getElementById(id);
const all = (what, from = document) => [...from.querySelectorAll(what)], ids = (...what) => all(...what).map((node) => node.id);
const seen = new Map(), stale = new Set(); // topic -> last event placed; ids to read
let socket, wait = 500, skew = 0, lostAt = 0, saidAt = 0, stateAt, came = 0, asked, heard, readAt = 0, timer, kept = [];

document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;max-age=31536000;samesite=lax`;

// ---- placing ----

const options = { ignoreActiveValue: true, callbacks: {
  beforeAttributeUpdated: (name) => !/^(aria-current|data-here|open|value|checked)$/.test(name),
  beforeNodeMorphed: (node) => !(node.nodeName === "DIALOG" && node.open),
} };
const busy = (node) => node.closest("dialog[open]") || node.querySelector(":is(dialog, details)[open] :focus");
const parse = (html) => Object.assign(document.createElement("template"), { innerHTML: html }).content;
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
  reread(ids(`[data-follows="${fresh.id}"]`));
}
// Regions read themselves again by their own GET; a crowd spreads out.
function reread(names) {
  names.forEach((id) => stale.add(id));
  timer ??= setTimeout(readAgain, 100 + Math.random() * 500);
}
async function readAgain() {
  const regions = Map.groupBy([...stale].map(find).filter((node) => node && !waits(node)), (node) => node.dataset.get || location.href), now = Date.now() + skew;
  stale.clear(); timer = undefined;
  for (const [from, nodes] of regions) try {
    const answer = await fetch(from), page = answer.ok && !answer.redirected && parse(await answer.text());
    if (!page) continue;
    for (const node of nodes) {
      const fresh = page.getElementById(node.id);
      if (fresh) morph(node, fresh);
      if (fresh?.dataset.watch) stateAt = now;
    }
    watchAll();
  } catch { /* the socket tells of it */ }
}
function say({ text, urgent }) {
  if (Date.now() - saidAt < 5000 && !urgent) return;
  saidAt = Date.now();
  find(urgent ? "said-now" : "said").textContent = text;
}

// ---- messages ----

const does = {
  alive({ now }) { skew = Date.parse(now) - Date.now(); },
  hello({ now, build, paused }) { wait = 500; does.alive({ now }); if (build !== root.dataset.build) root.dataset.newer = ""; if (!paused) back(); },
  paused({ at }) { if (at) { lose(); stateAt = Date.parse(at); } else back(); },
  // The rest is taken only if it follows on; a gap is asked for.
  news({ topic, after, seq }) {
    const at = seen.get(topic) ?? after;
    if (after > at) watchAll();
    if (after > at || seq <= at) return true;
    came += seq - at;
    seen.set(topic, seq);
  },
  place, say,
  stale: ({ ids }) => reread(ids),
  gap: ({ topic }) => reread(ids(`[data-watch="${topic}"]`)),
  count({ id, text }) { const node = find(id); if (node) { node.textContent = text; node.hidden = !text; } },
  bye({ code }) { wait = Infinity; state(code === 4401 ? "out" : "denied"); },
};
// Other scripts' frames: events.
const take = (frame) => does[frame.do] ? does[frame.do](frame) : !document.dispatchEvent(new CustomEvent(`live:${frame.do}`, { detail: frame }));
function apply(frames) {
  // A hidden tab draws when looked at; its title goes on.
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
    send({ do: "watch", topic, query, after: seen.get(topic) ?? (newest && +newest),
      ids: after ? undefined : ids("[data-rows] > [id]", node) });
  }
}
function connect() {
  if (!root.dataset.socket) return;
  const mine = socket = new WebSocket(root.dataset.socket);
  mine.onopen = watchAll;
  mine.onmessage = (event) => { heard = true; if (mine === socket) apply(JSON.parse(event.data)); };
  mine.onclose = ({ code }) => {
    if (mine !== socket) return;
    lose();
    if (code > 4400) does.bye({ code });
    if (wait === Infinity) return;
    setTimeout(() => mine === socket && connect(), wait * (0.7 + 0.6 * Math.random()));
    wait = Math.min(wait * 2, 30000);
  };
}
function state(name) { root.dataset.live = name; const node = find("connection-word"); if (node) node.textContent = node.dataset[name]; }
function lose() { if (!lostAt) { lostAt = Date.now(); stateAt = lostAt + skew; came = 0; } }
function back() {
  lostAt = 0;
  if (root.dataset.live !== "paused") return state("on");
  const told = find("caught-up");
  // What was missed is here in a second.
  setTimeout(() => say({ text: told.textContent = `Caught up: ${came} event${came === 1 ? "" : "s"}` }), 1000);
  told.textContent = "Catching up…";
  state("back");
  setTimeout(() => root.dataset.live === "back" && state("on"), 8000);
}
function check() {
  const away = lostAt && wait < Infinity ? Date.now() - lostAt : 0;
  if (away > 3000) state(away > 10000 ? "paused" : "lost");
  if (away > 10000) find("paused-at").textContent = new Date(stateAt).toLocaleTimeString([], { hour12: false });
  if (away > 60000 && Date.now() - readAt > 10000) { readAt = Date.now(); reread(ids("[data-watch]")); }
}
document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-try-now]") && !send({ do: "look" })) { wait = 500; connect(); }
});

// ---- clocks ----

const pad = (n) => `0${n}`.slice(-2);
function lasted(s) {
  if (s < 59.95) return s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`;
  const m = Math.round(s) / 60 | 0, h = m / 60 | 0;
  if (m < 60) return `${m}m ${pad(Math.round(s) % 60)}s`;
  return h < 24 ? `${h}h ${pad(m % 60)}m` : `${h / 24 | 0}d ${h % 24}h`;
}
setInterval(() => {
  check();
  if (!document.hidden && root.dataset.live !== "paused") for (const node of all("[data-since]")) node.textContent = lasted(Math.max(0, (Date.now() + skew - Date.parse(node.dataset.since)) / 1000));
}, 1000);
setInterval(() => {
  // Nothing since we asked: the line is dead.
  if (asked && !heard && socket.readyState === 1) { const dead = socket; socket = undefined; dead.close(); lose(); connect(); }
  heard = false;
  asked = send({ do: "alive" });
}, 20000);
document.addEventListener("htmx:historyRestore", watchAll);
addEventListener("online", () => lostAt && wait < Infinity && connect());
connect();
