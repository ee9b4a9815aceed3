// Moving in lists, opening dialogs, copying, following a row into its panel.
const rows = () => [...document.querySelectorAll("[data-rows] > tr")].filter((row) => row.querySelector("a"));
const inField = (node) => node.closest?.("input, select, textarea, dialog[open]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || inField(event.target) || document.querySelector("dialog[open]")) return;
  const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const all = rows(), at = all.indexOf(document.activeElement.closest("tr"));
  if (event.key.startsWith("Arrow") && at < 0) return;
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step];
  if (next) { event.preventDefault(); const link = next.querySelector("a"); link.focus({ preventScroll: true }); next.scrollIntoView({ block: "nearest" }); }
});

let opener;
document.addEventListener("click", async (event) => {
  const opens = event.target.closest("[data-opens]"), copies = event.target.closest("[data-copy]");
  if (opens) { opener = opens; document.getElementById(opens.dataset.opens)?.showModal(); }
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
  if (copies) { await navigator.clipboard?.writeText(copies.dataset.copy); document.getElementById("said").textContent = "Copied"; }
  // The row whose panel is open is marked; the server marks it when the page is loaded.
  const row = event.target.closest("a[hx-target='#panel']")?.closest("tr");
  if (row) { mark(row); }
});
document.addEventListener("close", () => opener?.focus(), true);
function mark(row) {
  for (const other of document.querySelectorAll("tr[aria-current]")) other.removeAttribute("aria-current");
  row?.setAttribute("aria-current", "true");
}
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "panel") return;
  const body = event.detail.target.querySelector("[data-step]");
  mark(body && document.getElementById(`s${body.dataset.step}`));
});
// Forms are sent once, however often they are pressed.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
  setTimeout(() => delete event.target.dataset.sent, 5000);
});
