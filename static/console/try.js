// The page to try the REST API: sends what a form says and shows what comes back.

const SHOWN = ["content-type", "location", "retry-after", "idempotency-replayed", "x-request-id", "traceparent"];
const STREAM_MS = 10000;

function request(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = { Accept: form.hasAttribute("data-streams") ? "text/event-stream" : "application/json" };
  for (const field of form.querySelectorAll("[data-in]")) {
    if (!field.value) continue;
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, field.value.split("/").map(encodeURIComponent).join("/"));
    else if (field.dataset.in === "query") query.append(field.name, field.value);
    else headers[field.name] = field.value;
  }
  const method = form.dataset.try;
  const options = { method, headers, credentials: "same-origin" };
  if (method !== "GET") headers["X-CSRFToken"] = form.elements.csrfmiddlewaretoken.value;
  if (form.elements.body) {
    headers["Content-Type"] = "application/json";
    options.body = form.elements.body.value;
  }
  return [query.size ? `${path}?${query}` : path, options];
}

async function answer(form, out) {
  const [address, options] = request(form);
  const stop = new AbortController();
  if (form.hasAttribute("data-streams")) setTimeout(() => stop.abort(), STREAM_MS);
  const got = await fetch(address, { ...options, signal: stop.signal });
  const head = SHOWN.filter((name) => got.headers.has(name)).map((name) => `${name}: ${got.headers.get(name)}`);
  out.textContent = [`${got.status} ${got.statusText}`, ...head, "", ""].join("\n");
  const reader = got.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    if (form.hasAttribute("data-streams")) out.textContent += part.value;
  }
  if (!form.hasAttribute("data-streams")) out.textContent += pretty(text);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-try]");
  if (!form) return;
  event.preventDefault();
  const out = form.querySelector("pre");
  out.hidden = false;
  out.textContent = "…";
  try {
    await answer(form, out);
  } catch (error) {
    out.textContent += error.name === "AbortError" ? `\n(stopped after ${STREAM_MS / 1000} s)` : `\n${error.message}`;
  }
});
