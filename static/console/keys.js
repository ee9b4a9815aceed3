// A key presses what carries it in data-keys (a sequence: g-r), moves in [data-rows], opens, selects.
const root = document.documentElement, { keymap = "{}" } = root.dataset, off = keymap === "off", own = off ? {} : JSON.parse(keymap);
const on = (type, then) => document.addEventListener(type, then), one = (what, from = document) => from.querySelector(what), every = (what, from = document) => [...from.querySelectorAll(what)];
const byId = (id) => document.getElementById(id), link = (row) => one(".row-link, a", row), box = (row) => one("[name=id]", row);
let typed, forget, last;

const open = (id) => one("dialog[open]") || byId(id).showModal();
const mark = (row) => { every("tr[aria-current]").forEach((it) => { it.ariaCurrent = null; }); if (row) row.ariaCurrent = true; };
const peek = (row) => { mark(row); htmx.ajax("GET", row.dataset.peek, "#panel"); };

function press(key) {
  clearTimeout(forget);
  forget = setTimeout(() => { typed = ""; }, 1000);
  for (const keys of [`${typed}-${key}`, key]) {
    const node = every(`[data-keys~="${CSS.escape(keys)}"]`).find((it) => it.getClientRects().length || it.closest(".rail"));
    if (!node) continue;
    typed = "";
    if (node.matches("nav")) link(node).focus();
    else if (node.type === "search") { node.focus(); node.select(); }
    else node.click();
    return true;
  }
  typed = key;
}
function move(key, top, target) {
  const rows = every("[data-rows] > *", top || document).filter(link), row = rows.find((it) => it.contains(document.activeElement)), at = rows.indexOf(row);
  const step = { ArrowDown: 1, ArrowUp: -1, ...(!top && { j: 1, k: -1 }) }[key];
  if (step && rows[0] && (row || top || !key[1])) {
    const next = rows[row ? at + step : step > 0 ? 0 : rows.length - 1];
    (next ? link(next) : top && one("[autofocus]", top))?.focus();
    if (next && one("#panel [data-peeked]")) peek(next);
  } else if (!row) return;
  else if (key === "o") link(row).click();
  else if (key === " " && row.dataset.peek && target !== box(row)) peek(row);
  else if (/^x$/i.test(key) && box(row)) {
    for (const it of key === "x" ? [row] : rows.slice(Math.min(last ??= at, at), Math.max(last, at) + 1)) if (key === "x" || !box(it).checked) box(it).click();
    last = at;
  } else return;
  return true;
}
on("keydown", (event) => {
  const { key, target } = event, held = event.ctrlKey || event.metaKey, top = one("dialog[open]");
  if (held && key === "k") { event.preventDefault(); open("palette"); }
  if (held || event.altKey) return;
  if (target.matches?.("input:not([type=checkbox]), select, textarea") && !top) return key === "Escape" && target.blur();
  if (off && /^[^ ]$/.test(key)) return;
  const meant = own[key] ?? key;
  if (top ? move(key, top) : press(meant) || move(meant, top, target)) event.preventDefault();
});
on("click", async ({ target }) => {
  const by = (name) => target.closest(`[data-${name}]`), opens = by("opens"), copies = by("copy"), toggles = by("toggles"), row = target.closest("a[hx-target='#panel']")?.closest("tr");
  if (opens) open(opens.dataset.opens);
  by("closes")?.closest("dialog").close();
  if (row) mark(row);
  if (copies) { await navigator.clipboard?.writeText(copies.dataset.copy || location.href); byId("said").textContent = "Copied"; }
  if (toggles) {
    const name = toggles.dataset.toggles, is = root.toggleAttribute(`data-${name}`);
    toggles.ariaExpanded = !is;
    document.cookie = `${name}=${+is};path=/;max-age=31536000;samesite=lax`;
  }
});
on("change", ({ target }) => {
  if (target.matches("[data-all]")) every("[name=id]").forEach((it) => { it.checked = target.checked; });
  every("[data-selected]").forEach((it) => { it.textContent = every("[name=id]:checked").length; });
});
on("htmx:afterSwap", ({ detail: { target } }) => {
  target.closest("dialog:not([open])")?.showModal();
  if (target.id === "panel" && !one("[data-peeked]", target)) mark(byId(`s${one("[data-step]", target)?.dataset.step}`));
});
// A region that fails says so; a form is sent once.
for (const failed of ["htmx:responseError", "htmx:sendError"]) on(failed, ({ detail: { target, pathInfo } }) => {
  target.replaceChildren(byId("broken").content.cloneNode(true));
  one("[data-again]", target).onclick = () => htmx.ajax("GET", pathInfo.requestPath, target);
});
on("submit", (event) => {
  const { method, dataset } = event.target;
  if (method !== "post" || event.defaultPrevented) return;
  if (dataset.sent) event.preventDefault();
  dataset.sent = 1;
  setTimeout(() => delete dataset.sent, 5000);
});
