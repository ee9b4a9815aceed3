// Single keys and short sequences press what carries them in data-keys. Off in fields and dialogs.
let typed = "", forget;
const typing = (node) => node.closest?.("input, select, textarea, [contenteditable], dialog[open]");
const shown = (node) => node.getClientRects().length > 0 || node.closest(".rail");

function press(node) {
  if (node.matches("input")) { node.focus(); node.select(); }
  else node.click();
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && typing(event.target) && !event.target.closest("dialog")) { event.target.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  clearTimeout(forget);
  forget = setTimeout(() => { typed = ""; }, 1000);
  for (const keys of [`${typed} ${event.key}`.trim(), event.key]) {
    const node = [...document.querySelectorAll(`[data-keys="${CSS.escape(keys)}"]`)].find(shown);
    if (node) { typed = ""; event.preventDefault(); press(node); return; }
  }
  typed = event.key;
});

const named = (node) => (node.getAttribute("aria-label") || node.placeholder || node.textContent).trim().replace(/\s+\d*$/, "");
document.getElementById("keys")?.addEventListener("toggle", fill);
function fill() {
  const list = document.getElementById("keys-list"), rows = [];
  const add = (keys, what) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    for (const key of keys.split(" ")) { const kbd = document.createElement("kbd"); kbd.textContent = key; dt.append(kbd, " "); }
    dd.textContent = what;
    rows.push(dt, dd);
  };
  for (const node of document.querySelectorAll(".rail [data-keys], main [data-keys]")) add(node.dataset.keys, named(node));
  if (document.querySelector("[data-rows]")) { add("j", "Next row"); add("k", "Row before"); add("Enter", "Open row"); }
  list.replaceChildren(...rows);
}
