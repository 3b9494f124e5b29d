// The queue and the request page by keyboard. Every key moves, opens or chooses something that stands on the
// page as a link, a field or a button; none sends a form without asking. Without this file nothing is missing.
"use strict";

(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const OFF = "cjo.keys.off";
  const QUEUE = "cjo.queue";
  const list = one("#result_list");
  const onQueue = one("#changelist") !== null;
  const keysDialog = one("#keys");
  const confirmDialog = one("#confirm");
  const said = one("#said");
  if (!keysDialog || !confirmDialog) return;

  // -- saying

  let fading;
  // Read out; with `shown`, there for the eye too.
  function say(text, shown = false) {
    said.textContent = text;
    said.classList.toggle("shown", shown);
    clearTimeout(fading);
    if (shown) fading = setTimeout(() => said.classList.remove("shown"), 5000);
  }

  // -- the queue

  const rows = list ? all("tbody tr", list) : [];
  const linkOf = (row) => one("a.what", row);
  const boxOf = (row) => one("input[name=selected]", row);
  const rowInFocus = () => rows.findIndex((row) => row.contains(document.activeElement));

  function move(step) {
    if (!rows.length) return say("The list is empty.", true);
    const now = rowInFocus();
    const from = now < 0 ? rows.findIndex((row) => linkOf(row).getAttribute("href") === left()) : now + step;
    const place = Math.min(Math.max(from, 0), rows.length - 1);
    linkOf(rows[place]).focus();
    rows[place].scrollIntoView({ block: "nearest" });
    const cells = all("td[data-label]", rows[place])
      .filter((cell) => !["", "–"].includes(cell.innerText.trim()) && !boxOf(cell) && !linkOf(cell))
      .map((cell) => `${cell.dataset.label} ${cell.innerText.trim()}`);
    const selected = boxOf(rows[place])?.checked ? "Selected. " : "";
    say(`${selected}${place + 1} of ${rows.length}. ${cells.join(", ")}`);
  }

  // The request that was opened last, to begin from it again.
  const left = () => JSON.parse(sessionStorage.getItem(QUEUE) || "{}").opened;

  function select() {
    const row = rows[rowInFocus()];
    const box = row && boxOf(row);
    if (!box) return say(row ? "This one cannot be selected." : "Move to a request first: J.", true);
    box.click();
    say(`${box.checked ? "Selected" : "Not selected"}: ${linkOf(row).textContent}. ${chosen().length} in all.`);
  }

  const chosen = () => rows.filter((row) => boxOf(row)?.checked);

  function countChosen() {
    const summary = one("details.act-decide-several > summary");
    if (!summary) return;
    summary.dataset.title ??= summary.textContent;
    const number = chosen().length;
    summary.textContent = number ? `${summary.dataset.title} (${number} selected)` : summary.dataset.title;
  }

  // -- the request page

  const field = (form, names) => names.map((name) => form.elements[name]).find((found) => found?.focus);

  function choose(verdict) {
    const form = one("#decide");
    const radio = form && one(`input[name=verdict][value=${verdict}]`, form);
    if (form && !radio) return say(NOT_HERE, true);
    if (!radio) {
      const why = all(".against").find((card) => one("h2", card)?.textContent.startsWith("You cannot"));
      return say(why ? `${one("h2", why).textContent}. ${one("p", why)?.textContent ?? ""}` : NOT_HERE, true);
    }
    radio.click();
    const next = verdict === "with_changes" ? "Change it" : "Give the reason";
    say(`${nameOf(radio)} is chosen, nothing is decided yet. ${next}; Ctrl Enter goes on.`);
    if (verdict === "with_changes") return (one("textarea", changes) ?? one("input, select", changes)).focus();
    // Of a rejection the category is the first part of the reason.
    const category = verdict === "rejected" && !form.elements.category.value;
    field(form, category ? ["category"] : ["reason"]).focus();
  }

  // The words of a way to decide, without its key.
  const nameOf = (radio) => one("span", radio.labels[0])?.textContent ?? radio.labels[0].textContent.trim();

  const changes = one(".changes");
  one("#decide")?.addEventListener("change", ({ target }) => {
    // The fields of a change stand elsewhere, and come into sight; the focus stays with whoever moves it.
    if (target.value === "with_changes") changes?.scrollIntoView({ block: "nearest" });
  });
  // What is not shown, as it belongs to another way, is not sent.
  one("#decide")?.addEventListener("formdata", ({ target, formData }) => {
    for (const hidden of all(".when input, .when select", target).filter((found) => !found.offsetParent)) {
      formData.delete(hidden.name);
    }
  });

  const NOT_HERE = "That is not on offer here.";

  function openForm(names) {
    const form = names.map((name) => document.getElementById(name)).find(Boolean);
    if (!form) return say(NOT_HERE, true);
    const folded = form.closest("details");
    if (folded) folded.open = true;
    const target = one("input:not([type=hidden]), select, textarea", form);
    (target ?? one("button", form)).focus();
    form.scrollIntoView({ block: "nearest" });
  }

  function send(names) {
    const form = names.map((name) => document.getElementById(name)).find(Boolean);
    if (!form) return say(NOT_HERE, true);
    ask(form, one("button[type=submit]", form));
  }

  const typed = () => all("textarea, input[type=text]").some((area) => area.value !== area.defaultValue);

  const LOST = "What you typed would be lost: send it, or take it back, first.";

  function next() {
    const link = one("a[rel=next]");
    if (!link) return say("Nothing else waits for you.", true);
    if (typed()) return say(LOST, true);
    link.click();
  }

  function back() {
    if (document.activeElement?.form?.closest("main") || document.activeElement?.closest("main form")) {
      document.activeElement.blur();
      return;
    }
    if (onQueue) return document.activeElement.blur();
    if (typed()) return say(LOST, true);
    one("a[data-back]").click();
  }

  // -- asking before a form is sent by keyboard

  let byPointer = false; // whether the last press of a button came from a mouse or a finger
  let confirmed = null; // the form that may go
  let asking = null; // [form, button]

  // [value, words] of the verdict that was chosen in a form that has one.
  function verdictIn(form) {
    const radio = one("input[name=verdict]:checked", form);
    if (radio) return [radio.value, nameOf(radio)];
    const menu = one("select[name=verdict]", form);
    return menu ? [menu.value, menu.selectedOptions[0].textContent] : [];
  }

  function lines(form) {
    const several = form.id === "decide-several";
    const titles = several ? chosen().map((row) => linkOf(row).textContent) : [one("h1").textContent.trim()];
    const found = titles.map((title) => ["b", title]);
    const behalf = form.elements.on_behalf_of;
    if (behalf?.value) found.push(["p", behalf.selectedOptions[0].textContent]);
    const category = form.elements.category;
    if (category?.value && verdictIn(form)[0] === "rejected") {
      found.push(["p", `What is wrong: ${category.selectedOptions[0].textContent}`]);
    }
    for (const day of all(".when input[type=date]", form).filter((found) => found.value && found.offsetParent)) {
      found.push(["p", `${labelOf(day)}: ${day.value}`]);
    }
    if (verdictIn(form)[0] === "with_changes" && changes) {
      const changed = all("textarea, input, select", changes).filter(isChanged);
      found.push(["p", `Changed: ${changed.map(labelOf).join(", ") || "nothing"}`]);
    }
    const reason = (form.elements.reason ?? form.elements.note)?.value.trim();
    if (reason) found.push(["blockquote", reason]);
    return found;
  }

  const labelOf = (changed) => changed.labels[0].firstChild.textContent.trim();
  const isChanged = (found) =>
    found.options
      ? [...found.options].some((option) => option.selected !== option.defaultSelected)
      : found.value !== found.defaultValue;

  function ask(form, button) {
    if (!form.reportValidity()) return;
    if (form.id === "decide-several" && !chosen().length) {
      return say("Select the requests in the list first: X.", true);
    }
    const [, verdict] = verdictIn(form);
    const what = verdict ?? button.textContent.trim();
    const several = form.id === "decide-several" ? ` these ${chosen().length}` : "";
    one("#confirm-heading").textContent = verdict ? `${what}${several}?` : what;
    one("#confirm-what").replaceChildren(
      ...lines(form).map(([name, text]) => Object.assign(document.createElement(name), { textContent: text })),
    );
    one("#confirm-go").textContent = what;
    asking = [form, button];
    // Where the focus was, the dialog puts it back to as it closes.
    confirmDialog.showModal();
    one("#confirm-go").focus();
  }

  one("#confirm-go").addEventListener("click", () => {
    const [form, button] = asking;
    confirmed = form;
    confirmDialog.close();
    form.requestSubmit(button);
  });
  // A key that is held down answers no question.
  confirmDialog.addEventListener("keydown", (event) => {
    if (event.repeat && (event.key === "Enter" || event.key === " ")) event.preventDefault();
  });

  for (const form of all("main .act form")) {
    form.addEventListener("click", (event) => {
      if (event.target.closest("button[type=submit]")) byPointer = event.detail > 0;
    });
    form.addEventListener("submit", (event) => {
      if (byPointer || confirmed === form) return;
      event.preventDefault();
      ask(form, event.submitter ?? one("button[type=submit]", form));
    });
  }
  // Also from the fields that belong to a form and stand outside of it.
  document.addEventListener("keydown", (event) => {
    const form = event.target.form;
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat || !on()) return;
    if (!form?.matches("main .act form")) return;
    event.preventDefault();
    ask(form, one("button[type=submit]", form));
  });
  window.addEventListener("pageshow", () => {
    confirmed = null;
    byPointer = false;
  });

  // -- the keys

  const KEYS = onQueue
    ? { j: () => move(1), k: () => move(-1), x: select, d: () => openForm(["decide-several"]), Escape: back }
    : {
        a: () => choose("approved"),
        r: () => choose("rejected"),
        c: () => choose("ask_for_changes"),
        e: () => choose("with_changes"),
        u: () => send(["claim", "release"]),
        n: next,
        Escape: back,
      };
  const TYPING = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
  const on = () => !localStorage.getItem(OFF);

  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
      if (one("dialog[open]")) {
        if (event.key === "?" && keysDialog.open) keysDialog.close();
        return;
      }
      if (!on()) return;
      const typing = event.target.closest?.(TYPING);
      if (event.key === "Escape") {
        // An open menu closes first; see desk.js.
        if (!event.repeat && !one("details.menu[open], details.filter[open]")) back();
        return;
      }
      if (typing) return;
      if (event.key === "?") {
        event.preventDefault();
        keysDialog.showModal();
        return;
      }
      const act = event.shiftKey ? null : KEYS[event.key.toLowerCase()];
      if (!act || (event.repeat && !"jk".includes(event.key.toLowerCase()))) return;
      event.preventDefault();
      act();
    },
    true,
  );

  // -- the page as it comes

  for (const hint of all(".keys")) hint.hidden = false;
  for (const button of all("[data-keys]")) button.addEventListener("click", () => keysDialog.showModal());
  for (const button of all("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  const toggle = one("#keys-on");
  toggle.checked = on();
  toggle.addEventListener("change", () => {
    if (toggle.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
  if (onQueue) {
    const here = location.search;
    list?.addEventListener("click", (event) => {
      const opened = event.target.closest("a.what")?.getAttribute("href");
      if (opened) sessionStorage.setItem(QUEUE, JSON.stringify({ here, opened }));
    });
    document.addEventListener("change", countChosen);
    window.addEventListener("pageshow", countChosen);
  } else {
    // Back to the queue as it was narrowed down.
    const crumb = one("a[data-back]");
    const from = JSON.parse(sessionStorage.getItem(QUEUE) || "{}");
    if (crumb && from.here) crumb.search = from.here;
  }
})();
