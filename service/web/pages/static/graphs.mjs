// A new graph: while typing stops, the service reads the expression, and a fault is marked at its place.
const form = document.getElementById("typing"), field = form.elements.expression, shown = document.getElementById("draft");
const mirror = form.querySelector(".mirror");
let waiting, asking;

// The text before the fault, the character at it, and the rest, below the field's own text.
function mark(line, column) {
  mirror.replaceChildren();
  field.removeAttribute("aria-invalid");
  if (!line) return;
  field.setAttribute("aria-invalid", "true");
  const lines = field.value.split("\n"), letters = [...lines[line - 1]], at = document.createElement("mark");
  at.textContent = letters[column - 1] ?? "\u00a0";
  const before = [...lines.slice(0, line - 1), letters.slice(0, column - 1).join("")].join("\n");
  mirror.append(before, at, [letters.slice(column).join(""), ...lines.slice(line)].join("\n"));
  mirror.scrollTop = field.scrollTop;
}

async function draft() {
  asking?.abort();
  asking = new AbortController();
  try {
    const body = new URLSearchParams({ expression: field.value });
    const answer = await fetch(form.dataset.draft, { method: "POST", body, signal: asking.signal });
    if (!answer.ok || !answer.headers.get("Content-Type").startsWith("text/html")) return;
    shown.innerHTML = await answer.text();
    const fault = shown.querySelector("[data-line]");
    mark(+fault?.dataset.line, +fault?.dataset.column);
  } catch (error) {
    if (error.name !== "AbortError") shown.textContent = "The service does not answer.";
  }
}

field.addEventListener("input", () => {
  mark();
  clearTimeout(waiting);
  waiting = setTimeout(draft, 300);
});
field.addEventListener("scroll", () => { mirror.scrollTop = field.scrollTop; });
if (field.value.trim()) draft();
