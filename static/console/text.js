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
document.addEventListener("live:unwrite", ({ detail: { id, behind } }) => {
  const gone = find(id), place = find(behind);
  if (!gone || !place) return gone?.remove();
  gone.id = "";
  gone.ariaBusy = null;
  const seen = new MutationObserver(() => { seen.disconnect(); gone.remove(); });
  seen.observe(place, { childList: true, subtree: true, characterData: true, attributes: true });
  setTimeout(() => gone.remove(), 5000);
});
