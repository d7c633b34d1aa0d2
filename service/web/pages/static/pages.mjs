// On every page: times as the reader's own, and buttons that copy the text at an address.
const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) time.textContent = form.format(new Date(time.dateTime));

async function copy({ currentTarget: button }) {
  const text = fetch(button.dataset.copy).then(async (answer) => {
    if (!answer.ok) throw new Error(answer.statusText);
    return new Blob([await answer.text()], { type: "text/plain" });
  });
  try {
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
    button.textContent = "Copied";
  } catch {
    location.assign(button.dataset.copy);
  }
}
for (const button of navigator.clipboard?.write ? document.querySelectorAll("button[data-copy]") : []) {
  button.hidden = false;
  button.addEventListener("click", copy);
}
