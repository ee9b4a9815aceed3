// Text as it is produced, until what is recorded takes its place.
const find = (id) => document.getElementById(id);
document.addEventListener("live:write", ({ detail: { id, into, html, at, text } }) => {
  if (html && !find(id)) find(into)?.insertAdjacentHTML("beforeend", html);
  const node = find(id)?.querySelector("[data-text]");
  // What was missed comes again with the whole.
  if (!node || node.textContent.length < at) return;
  const below = node.scrollHeight - node.scrollTop - node.clientHeight < 40;
  node.textContent = node.textContent.slice(0, at) + text;
  if (below) node.scrollTop = node.scrollHeight;
});
document.addEventListener("live:unwrite", ({ detail: { keep, behind } }) => {
  const place = find(behind);
  for (const gone of document.querySelectorAll("#writing > [id^=w]")) {
    if (keep.includes(gone.id)) continue;
    gone.id = "";
    if (place) new MutationObserver(() => gone.remove()).observe(place, { childList: true, subtree: true });
    setTimeout(() => gone.remove(), place ? 5000 : 0);
  }
});
