// Keeps what is marked data-live up to date. Without scripts the page is whole; it only has to be loaded again.
"use strict";
const link = document.querySelector("#link");
let busy = false;
let again = false;
const anew = { "Cache-Control": "no-cache" };

const say = (words, state) => {
  if (link.textContent !== words) link.textContent = words;
  link.dataset.state = state;
};

// Everything that was opened, scrolled or focused stays so.
const renew = (old, fresh) => {
  if (old.innerHTML === fresh.innerHTML) return;
  const open = new Set([...old.querySelectorAll("details[open]")].map((each) => each.id));
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const at = focused && [focused.id, focused.getAttribute("href"), focused.tagName === "SUMMARY" && focused.parentElement.id];
  old.replaceChildren(...fresh.childNodes);
  for (const each of old.querySelectorAll("details")) each.open = open.has(each.id);
  if (at) {
    const same = (at[0] && document.getElementById(at[0])) || (at[2] && document.getElementById(at[2])?.firstElementChild);
    (same || (at[1] && old.querySelector(`a[href="${CSS.escape(at[1])}"]`)) || document.querySelector("#main")).focus({ preventScroll: true });
  }
};

// Who has done something must see it; those who were told of the same change may share a page.
const refresh = async (why) => {
  if (busy) return void (again = why);
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", ...why } });
    if (!answer.ok) throw new Error(answer.status);
    // Escaped by the server; a parsed document runs no script, and the page's policy would refuse one.
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const found = fresh.getElementById(old.id);
      if (found) renew(old, found);
    }
    document.dispatchEvent(new Event("renewed"));
    say("live", "live");
  } catch {
    say("connection lost, trying again", "lost");
  }
  busy = false;
  const next = again;
  again = false;
  if (next) refresh(next);
};

const listen = () => {
  const stream = new EventSource(document.body.dataset.root + "stream");
  stream.addEventListener("change", (event) => refresh({ "Last-Event-ID": event.data }));
  stream.addEventListener("error", () => {
    say("connection lost, trying again", "lost");
    if (stream.readyState !== EventSource.CLOSED) return; // It comes back by itself.
    setTimeout(() => refresh(anew).then(listen), 30000);
  });
};
document.addEventListener("changed", () => refresh(anew));
listen();
