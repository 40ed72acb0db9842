// Keeps <main> up to date. Without scripts the page is whole; it only has to be loaded again.
"use strict";
const main = document.querySelector("main");
const link = document.querySelector("#link");
let busy = false;
let again = false;

const say = (words, state) => {
  if (link.textContent !== words) link.textContent = words;
  link.dataset.state = state;
};

const refresh = async () => {
  if (busy) return void (again = true);
  busy = true;
  try {
    const answer = await fetch("fragment", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    main.innerHTML = await answer.text(); // Escaped by the server, and the page's policy runs no script in it.
    say("live", "live");
  } catch {
    say("connection lost, trying again", "lost");
  }
  busy = false;
  if (again) refresh((again = false));
};

const listen = () => {
  const stream = new EventSource("stream");
  stream.addEventListener("change", refresh);
  stream.addEventListener("error", () => {
    say("connection lost, trying again", "lost");
    if (stream.readyState !== EventSource.CLOSED) return; // It comes back by itself.
    setTimeout(() => refresh().then(listen), 30000);
  });
};
listen();
