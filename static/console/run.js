// The page of a run: few blocks of a long timeline stay drawn, jumps end where they lead, folds have keys.
const all = (what) => [...document.querySelectorAll(what)];
const far = (node) => { const { top, bottom } = node.getBoundingClientRect(); return bottom < 0 ? -bottom : Math.max(0, top - innerHeight); };

function trim() {
  const drawn = all("#timeline > [data-rows]").sort((a, b) => far(b) - far(a));
  for (const block of drawn.slice(0, -5)) {
    if (block.contains(document.activeElement)) continue;
    const { id, dataset: { get }, offsetHeight } = block, place = document.createElement("tbody");
    Object.entries({ id, "data-get": get, "hx-get": get, "hx-trigger": "intersect once", "hx-swap": "outerHTML" }).forEach(([name, value]) => place.setAttribute(name, value));
    place.innerHTML = `<tr><td colspan="6" height="${offsetHeight}"></td></tr>`; // as high as it was
    block.replaceWith(place);
    htmx.process(place);
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
