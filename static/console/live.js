// Keeps a page fresh over one socket. Places html the server drew; knows no business word.
const root = document.documentElement;
const find = (id) => document.getElementById(id);
const seen = new Map(); // topic -> highest number placed
let socket, wait = 500, lostAt = 0, skew = 0, caughtUp = 0, timer, hiddenFrames = [];

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes(`zone=${zone}`)) document.cookie = `zone=${zone};path=/;max-age=31536000;samesite=lax`;

// ---- placing ----

const options = { ignoreActiveValue: true, callbacks: {
  beforeAttributeUpdated: (name) => !["aria-current", "open", "value", "checked"].includes(name),
  beforeNodeMorphed: (node) => !(node.nodeName === "DIALOG" && node.open),
} };
const busy = (node) => node.closest("dialog[open]") || node.contains(document.activeElement) && node.querySelector("dialog[open], details[open] :focus");

export function morph(old, html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = holder.content.firstElementChild;
  if (!fresh) return;
  const row = old.nodeName === "TR" && old.getAttribute("aria-current");
  Idiomorph.morph(old, fresh, options);
  if (row) old.setAttribute("aria-current", row);
  htmx.process(find(fresh.id) || old);
}

function place({ topic, seq, how, id, html }) {
  if (seq) seen.set(topic, Math.max(seen.get(topic) || 0, seq));
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = holder.content.firstElementChild;
  const there = fresh && find(fresh.id);
  if (there) { if (!busy(there)) morph(there, html); }
  else if (how === "append" && grows(id)) {
    fresh.classList.add("fresh");
    find(id).append(fresh);
    htmx.process(fresh);
  }
  for (const node of document.querySelectorAll(`[data-follows="${fresh?.id}"]`)) reread([node.id]);
}
const grows = (id) => { const to = find(id); return to && !to.hasAttribute("hx-get") && !to.closest("[data-still]"); };

// Regions read themselves again by their own GET, a moment later so that a crowd spreads out.
const stale = new Set();
function reread(ids) {
  ids.forEach((id) => stale.add(id));
  timer ??= setTimeout(readAgain, 100 + Math.random() * 500);
}
async function readAgain() {
  const ids = [...stale];
  stale.clear(); timer = undefined;
  try {
    const answer = await fetch(location.href, { headers: { "X-Region": ids.join(" ") } });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) {
      const [old, fresh] = [find(id), page.getElementById(id)];
      if (old && fresh && !busy(old)) morph(old, fresh.outerHTML);
    }
    watchAll();
  } catch { /* the socket tells of a lost connection */ }
}

let saidAt = 0;
function say({ text, urgent }) {
  if (Date.now() - saidAt < 5000 && !urgent) return;
  saidAt = Date.now();
  const region = find(urgent ? "said-now" : "said");
  if (region) region.textContent = text;
}

const does = {
  hello({ now, build }) { skew = Date.parse(now) - Date.now(); if (build && build !== root.dataset.build) say({ text: "A new version is there. Reload when it suits you." }); },
  alive({ now }) { skew = Date.parse(now) - Date.now(); },
  place, say,
  stale: ({ ids }) => reread(ids),
  gap: ({ topic }) => { for (const node of document.querySelectorAll(`[data-watch="${topic}"]`)) reread([node.id]); },
  count({ id, text }) { const node = find(id); if (node) { node.textContent = text; if (node.dataset.reload) node.hidden = !text; } },
  bye({ code, topic }) { if (!topic) { wait = Infinity; word(code === 4401 ? "Signed out" : "Not allowed any more"); } },
};
function apply(frames) {
  if (document.hidden) { hiddenFrames.push(...frames); if (hiddenFrames.length < 500) return; }
  const all = document.hidden ? hiddenFrames : [...hiddenFrames, ...frames];
  hiddenFrames = [];
  for (const frame of all) {
    if (caughtUp && frame.seq) caughtUp += 1;
    does[frame.do]?.(frame);
  }
}
document.addEventListener("visibilitychange", () => apply([]));

// ---- the socket ----

const send = (said) => socket?.readyState === 1 && socket.send(JSON.stringify(said));
function watchAll() {
  for (const node of document.querySelectorAll("[data-watch]")) {
    const topic = node.dataset.watch, rows = node.querySelectorAll("[data-rows] > [id]");
    const after = node.dataset.after ?? node.dataset.newest;
    send({ do: "watch", topic, view: node.dataset.query, query: node.dataset.query,
      after: after === "" ? null : Math.max(+after || 0, seen.get(topic) || 0),
      ids: topic === "runs" ? [...rows].map((row) => row.id) : undefined });
  }
}
function connect() {
  if (!root.dataset.socket || !("WebSocket" in window)) return;
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${root.dataset.socket}`);
  socket.onopen = () => { wait = 500; back(); watchAll(); };
  socket.onmessage = (event) => apply(JSON.parse(event.data));
  socket.onclose = (event) => {
    lostAt ||= Date.now();
    if (event.code === 4401 || event.code === 4403) does.bye({ code: event.code });
    if (wait === Infinity) return;
    setTimeout(connect, wait * (0.7 + 0.6 * Math.random()));
    wait = Math.min(wait * 2, 30000);
  };
}
function word(text) { const node = find("connection-word"); if (node) node.textContent = text; }
function back() {
  if (lostAt && !find("paused")?.hidden) setTimeout(() => say({ text: "Caught up." }), 1000);
  lostAt = 0; root.dataset.live = "on"; word("Live");
  const bar = find("paused"); if (bar) bar.hidden = true;
}
let readAt = 0;
function check() {
  if (!lostAt) return;
  const away = Date.now() - lostAt;
  if (away > 3000) { root.dataset.live = "paused"; word("Connecting…"); }
  const bar = find("paused");
  if (away > 10000 && bar?.hidden) { bar.hidden = false; find("paused-at").textContent = new Date(lostAt).toLocaleTimeString([], { hour12: false }); }
  if (away > 60000 && Date.now() - readAt > 10000) { readAt = Date.now(); reread([...document.querySelectorAll("[data-watch]")].map((node) => node.id)); }
}
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-try-now]")) { wait = 500; if (socket?.readyState !== 0) connect(); }
  const reload = event.target.closest("[data-reload]");
  if (reload) { reload.hidden = true; const page = location.pathname + location.search; location.assign(page); }
});

// ---- clocks ----

const pad = (n) => String(n).padStart(2, "0");
export function lasted(s) {
  if (s < 59.95) return s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`;
  const m = Math.floor(Math.round(s) / 60), h = Math.floor(m / 60);
  if (m < 60) return `${m}m ${pad(Math.round(s) % 60)}s`;
  return h < 24 ? `${h}h ${pad(m % 60)}m` : `${Math.floor(h / 24)}d ${h % 24}h`;
}
setInterval(() => {
  check();
  if (document.hidden || (lostAt && Date.now() - lostAt > 10000)) return;
  for (const node of document.querySelectorAll("[data-since]")) node.textContent = lasted(Math.max(0, (Date.now() + skew - Date.parse(node.dataset.since)) / 1000));
}, 1000);
setInterval(() => send({ do: "alive" }), 25000);
document.addEventListener("htmx:historyRestore", watchAll);
addEventListener("online", () => lostAt && connect());
connect();
