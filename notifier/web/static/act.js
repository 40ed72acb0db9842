// What can be done on a page: send dead letters again, add and end silences. Without scripts the page shows the command instead.
"use strict";
const said = document.querySelector("#said");

const tell = (words, failed) => {
  said.textContent = words;
  said.classList.toggle("bad", failed);
};

const ask = async (path, wish) => {
  const answer = await fetch(`${document.body.dataset.root}api/v1/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(wish),
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.detail || `refused (${answer.status})`);
  return found;
};

const acts = {
  retry: async ({ id }) => {
    const { resent } = await ask("deliveries/retry", { ids: [id] });
    return resent.length ? "It is sent again." : "It was not among the dead any more.";
  },
  "retry-all": async ({ sink, count }) => {
    if (!confirm(`Send ${count} again to ${sink}?`)) return "";
    const { resent } = await ask("deliveries/retry", { all: true, sink });
    return `${resent.length} sent again.`;
  },
  expire: async ({ id }) => {
    const { expired } = await ask("silences/expire", { ids: [id] });
    return expired.length ? "The silence has ended." : "It had ended already.";
  },
};

const attempt = async (button, work) => {
  button.disabled = true;
  try {
    const words = await work();
    if (words) tell(words, false);
    document.dispatchEvent(new Event("changed"));
  } catch (error) {
    tell(`That did not work: ${error.message}`, true);
  }
  button.disabled = false;
};

const show = () => {
  for (const each of document.querySelectorAll("[data-act][hidden], form[hidden]")) each.hidden = false;
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) attempt(button, () => acts[button.dataset.act](button.dataset));
});

document.querySelector("#silencing")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  const match = Object.fromEntries(["cluster", "kind", "severity"].filter((name) => given[name]).map((name) => [name, given[name]]));
  if (given.label) {
    const [name, ...value] = given.label.split("=");
    match.labels = { [name.trim()]: value.join("=").trim() };
  }
  const wish = { match, for: given.for, author: given.author, reason: given.reason, reminders_only: "reminders_only" in given };
  attempt(event.submitter, async () => {
    await ask("silences", wish);
    form.reset();
    return "The silence holds.";
  });
});

document.addEventListener("renewed", show);
show();
