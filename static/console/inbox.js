// A key moves to a button instead of pressing it; nothing is decided right after what it is about changed.
let changed = -1000, version;
const look = () => {
  const now = document.getElementById("request")?.dataset;
  if (now && version?.startsWith(now.watch) && version !== now.watch + now.version) changed = performance.now();
  version = now && now.watch + now.version;
};
look();
new MutationObserver(look).observe(document.getElementById("panel"), { subtree: true, childList: true, attributes: true, attributeFilter: ["data-version"] });
document.addEventListener("click", ({ target }) => document.getElementById(target.closest("[data-focuses]")?.dataset.focuses)?.focus());
document.addEventListener("submit", (event) => {
  if (event.target.closest("#request") && performance.now() - changed < 700) { event.preventDefault(); event.stopPropagation(); }
}, true);
