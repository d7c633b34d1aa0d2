// The run page: step through both passes, light row and node together, compare typed figures. Without it, all steps are listed.
const all = (what, where = document) => [...where.querySelectorAll(what)];
const one = (id) => document.getElementById(id);
const list = one("steps"), steps = all("#steps > li"), bar = one("bar"), slider = one("step"), said = one("said");
const [back, next] = all("button", bar), picture = one("picture");
const nodes = new Map(all("[data-node]", picture).map((node) => [node.dataset.node, node]));
const rows = new Map(all("tr[data-node]").map((row) => [row.dataset.node, row]));
const edges = all("path[data-from]", picture), links = all(".strip a");
const last = steps.length - 1;
const computed = (phase) => new Map(steps.flatMap((step, k) => (step.dataset.phase === phase ? [[step.dataset.node, k]] : [])));
const forward = computed("forward"), backward = computed("backward");

function show(k, write = true) {
  k = Math.max(0, Math.min(last, k));
  const { node, phase, with: others } = steps[k].dataset;
  const partners = new Set(JSON.parse(others));
  slider.value = k;
  back.disabled = k === 0;
  next.textContent = k === last ? "Start over" : "Next →";
  steps.forEach((step, i) => step.classList.toggle("now", i === k));
  links.forEach((link, i) => {
    link.classList.toggle("done", i < k);
    i === k ? link.setAttribute("aria-current", "step") : link.removeAttribute("aria-current");
  });
  for (const [name, drawn] of nodes) {
    drawn.classList.toggle("lit", name === node);
    drawn.classList.toggle("from", phase === "forward" ? partners.has(name) : name === node && partners.size > 0);
    drawn.classList.toggle("to", phase === "forward" ? name === node : partners.has(name));
    drawn.classList.toggle("no-value", (forward.get(name) ?? -1) > k);
    drawn.classList.toggle("no-gradient", (backward.get(name) ?? -1) > k);
  }
  for (const edge of edges) {
    const { from, to } = edge.dataset;
    edge.classList.toggle("lit", phase === "forward" ? to === node : from === node && partners.has(to));
  }
  for (const [name, row] of rows) row.classList.toggle("at", name === node);
  said.value = `Step ${k + 1} of ${steps.length}, ${phase}: ${steps[k].dataset.said}`;
  slider.setAttribute("aria-valuetext", said.value);
  const drawn = nodes.get(node)?.getBoundingClientRect(), frame = picture.getBoundingClientRect();
  if (drawn && (drawn.left < frame.left || drawn.right > frame.right)) picture.scrollLeft += drawn.left - frame.left - frame.width / 2;
  if (steps[k].scrollWidth > steps[k].clientWidth) steps[k].tabIndex = 0;
  if (write) history.replaceState(null, "", `#step=${k + 1}`);
}

const now = () => +slider.value;
const forth = () => show(now() === last ? 0 : now() + 1);
const asked = () => location.hash.match(/^#step[=-](\d+)$/);

bar.hidden = false;
list.classList.add("stepping");
picture.classList.add("pick");
slider.addEventListener("input", () => show(now()));
back.addEventListener("click", () => show(now() - 1));
next.addEventListener("click", forth);
addEventListener("hashchange", () => asked() && show(asked()[1] - 1, false));
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#step-"]');
  if (!link) return;
  event.preventDefault();
  show(link.hash.slice(6) - 1);
});
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, select, textarea")) return;
  const act = { ArrowRight: forth, ArrowLeft: () => show(now() - 1), Home: () => show(0), End: () => show(last) }[event.key];
  if (act) { act(); event.preventDefault(); }
});

// A node and its row light each other; a node is a way to its own step.
for (const [name, drawn] of nodes) {
  const row = rows.get(name), light = (on) => () => [drawn, row].forEach((it) => it?.classList.toggle("seen", on));
  for (const it of [drawn, row]) {
    it?.addEventListener("pointerenter", light(true));
    it?.addEventListener("pointerleave", light(false));
  }
  drawn.addEventListener("click", () => show((now() < forward.size ? forward : backward).get(name) ?? now()));
}

// What is typed: a fraction is exact, a decimal is right to its last digit. The cause is the service's to say.
function read(text) {
  const found = text.trim().replace(/−/g, "-").match(/^([-+]?\d*\.?(\d*)(?:e[-+]?\d+)?)(?:\s*\/\s*([-+]?\d+\.?\d*))?$/i);
  if (!found) return null;
  const value = found[3] ? found[1] / found[3] : +found[1];
  return { value, slack: !found[3] && found[2] ? 0.5 * 10 ** -found[2].length : 1e-12 * Math.abs(value) };
}
for (const field of all("input[data-right]")) {
  field.addEventListener("input", () => {
    const mark = one(field.getAttribute("aria-describedby")), typed = read(field.value);
    const right = typed && Math.abs(typed.value - field.dataset.right) <= typed.slack * 1.000001;
    mark.className = field.value ? `mark ${right ? "same" : "differs"}` : "mark";
    const [sign, word] = field.value ? (typed ? (right ? "✓ right" : "≠ differs") : "? no number").split(/ (.*)/) : ["", ""];
    mark.firstChild.data = `${sign} `;
    mark.lastChild.textContent = word;
    const flag = nodes.get(field.name.replace(/^\w+\./, ""))?.querySelector(".flag");
    if (flag) flag.textContent = right ? "" : sign;
  });
}

show(asked() ? asked()[1] - 1 : last, false);
