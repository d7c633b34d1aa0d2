// The page of a run: step through both passes, light row and node together, judge typed figures. Without it, all steps
// are listed and the forms post.
const all = (what, where = document) => [...where.querySelectorAll(what)];
const one = (id) => document.getElementById(id);
const picture = one("picture");
const nodes = all("[data-node]", picture); // each twice: the picture is there for wide pages and for narrow ones
const drawn = (name) => nodes.filter((node) => node.dataset.node === name);
nodes.filter((node) => node.classList.contains("focus")).forEach(scrollTo);
const rows = new Map(all("tr[data-node]").map((row) => [row.dataset.node, row]));
const stepTo = one("bar") ? stepThrough() : () => {};

function scrollTo(node) {
  const { left, right, width } = node.getBoundingClientRect(), seen = picture.getBoundingClientRect();
  const rim = 0.2 * (seen.right - seen.left); // where it fades
  if (!width || (left >= seen.left + rim && right <= seen.right - rim)) return;
  picture.scrollLeft += (left + right - seen.left - seen.right) / 2;
}

function stepThrough() {
  const list = one("steps"), steps = all("#steps > li"), bar = one("bar"), slider = one("step"), said = one("said");
  const [back, next] = all("button", bar), links = all(".strip a"), edges = all("path[data-from]", picture);
  const last = steps.length - 1;
  const order = (phase) =>
    new Map(steps.flatMap((step, k) => (step.dataset.phase === phase ? [[step.dataset.node, k]] : [])));
  const forward = order("forward"), backward = order("backward");
  const now = () => +slider.value;
  const forth = () => show(now() === last ? 0 : now() + 1);
  const asked = () => location.hash.match(/^#step[=-](\d+)$/);

  function show(k, write = true) {
    k = Math.max(0, Math.min(last, k));
    const { node, phase, drawn: box = node } = steps[k].dataset, partners = new Set(JSON.parse(steps[k].dataset.with));
    slider.value = k;
    back.disabled = k === 0;
    next.textContent = k === last ? "Start over" : "Next →";
    steps.forEach((step, i) => step.classList.toggle("now", i === k));
    links.forEach((link, i) => {
      link.classList.toggle("done", i < k);
      i === k ? link.setAttribute("aria-current", "step") : link.removeAttribute("aria-current");
    });
    for (const { classList, dataset: { node: name } } of nodes) {
      classList.toggle("lit", name === box);
      classList.toggle("from", phase === "forward" ? partners.has(name) : name === node && partners.size > 0);
      classList.toggle("to", phase === "forward" ? name === node : partners.has(name));
      classList.toggle("no-value", (forward.get(name) ?? -1) > k);
      classList.toggle("no-gradient", (backward.get(name) ?? -1) > k);
    }
    for (const edge of edges) {
      const { from, to } = edge.dataset;
      edge.classList.toggle("lit", phase === "forward" ? to === node : from === node && partners.has(to));
    }
    for (const [name, row] of rows) row.classList.toggle("at", name === box);
    said.value = `Step ${k + 1} of ${steps.length}, ${phase}: ${steps[k].dataset.said}`;
    slider.setAttribute("aria-valuetext", said.value);
    drawn(box).forEach(scrollTo);
    if (steps[k].scrollWidth > steps[k].clientWidth) steps[k].tabIndex = 0;
    if (write) history.replaceState(history.state, "", `#step=${k + 1}`);
  }

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
    const typing = event.target.matches("input:not(#step), select, textarea");
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || typing) return;
    const acts = { ArrowRight: forth, ArrowLeft: () => show(now() - 1), Home: () => show(0), End: () => show(last) };
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
  });
  show(asked() ? asked()[1] - 1 : last, false);
  return (name) => show((now() < forward.size ? forward : backward).get(name) ?? now());
}

// A node and its row light each other; a node is a way to its own step.
for (const node of nodes) {
  const name = node.dataset.node, row = rows.get(name);
  const light = (on) => () => [node, row].forEach((it) => it?.classList.toggle("seen", on));
  for (const it of [node, row]) {
    it?.addEventListener("pointerenter", light(true));
    it?.addEventListener("pointerleave", light(false));
  }
  node.addEventListener("click", () => stepTo(name));
}

// What is typed: a fraction is exact, a decimal is right to its last digit. The cause is the service's to say.
const NUMBER = /^([-+]?\d*\.?(\d*)(?:e[-+]?\d+)?)(?:\s*\/\s*([-+]?\d+\.?\d*))?$/i;
function read(text) {
  const found = text.trim().replace(/−/g, "-").match(NUMBER);
  if (!found) return null;
  const value = found[3] ? found[1] / found[3] : +found[1];
  return { value, slack: !found[3] && found[2] ? 0.5 * 10 ** -found[2].length : 1e-12 * Math.abs(value) };
}
for (const field of all("input[data-right]")) {
  const right = read(field.dataset.right)?.value, mark = one(field.getAttribute("aria-describedby"));
  const flags = drawn(field.name.replace(/^\w+\./, "")).map((node) => node.querySelector(".flag"));
  field.addEventListener("input", () => {
    const typed = read(field.value), same = typed && Math.abs(typed.value - right) <= typed.slack * 1.000001;
    const [sign, word] = !field.value ? ["", ""] : !typed ? ["?", "no number"] : same ? ["✓", "right"] : ["≠", "differs"];
    mark.className = field.value ? `mark ${same ? "same" : "differs"}` : "mark";
    mark.firstChild.data = `${sign} `;
    mark.lastChild.textContent = word;
    for (const flag of flags) flag.textContent = same ? "" : sign;
  });
}
