// Few blocks of a long timeline stay drawn, jumps end where they lead, folds have keys.
const far = (node) => { const { top, bottom } = node.getBoundingClientRect(); return Math.max(0, -bottom, top - innerHeight); };

function trim() {
  const drawn = [...document.querySelectorAll("#timeline > [data-rows]")].sort((a, b) => far(b) - far(a));
  for (const block of drawn.slice(0, -5)) {
    if (block.contains(document.activeElement)) continue;
    block.innerHTML = `<tr><td colspan="6" height="${block.offsetHeight}"></td></tr>`; // as high as it was
    delete block.dataset.rows;
    block.setAttribute("hx-get", block.dataset.get);
    block.setAttribute("hx-trigger", "intersect once");
    htmx.process(block);
  }
}
const here = document.querySelector("tr[data-here], #timeline tr[aria-current]");
document.addEventListener("htmx:load", trim);
document.addEventListener("change", ({ target }) => target.matches("[data-jumps]") && target.form.requestSubmit());
document.addEventListener("keydown", ({ key, target }) => {
  const fold = target.closest?.("tr")?.querySelector(".fold-in");
  if (fold && key === (fold.ariaExpanded === "true" ? "ArrowLeft" : "ArrowRight")) fold.click();
});
if (here && far(here)) here.scrollIntoView({ block: "center" });
