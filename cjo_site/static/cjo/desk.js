// Small helps only: every page works without this file.
"use strict";

// Pages tell times in the browser's time zone, unless another was chosen under "Your settings".
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (/^[\w+/-]+$/.test(zone)) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}

// An open menu or filter closes when something else is clicked, or on Escape.
const menus = "details.menu[open], details.filter[open]";
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(menus)) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(menus)) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// A form that is on its way is not sent a second time by an impatient click.
document.addEventListener("submit", (event) => {
  if (event.target.method === "post" && !event.defaultPrevented) {
    for (const button of event.target.querySelectorAll("button[type=submit]")) button.disabled = true;
  }
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[type=submit]")) button.disabled = false;
});

// What one types is kept in this tab until it was sent and taken: a session that ends, or a page that is left,
// loses no text. Texts only: no choice, no password. Somebody else who logs in here sees nothing of it.
(() => {
  const PREFIX = "cjo.typed.";
  const SENT = "cjo.sent";
  const { user, here } = document.body.dataset;
  const stored = () => Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX));

  for (const line of document.querySelectorAll("[data-kept]")) line.hidden = stored().length === 0;
  document.getElementById("logout-form")?.addEventListener("submit", () => {
    for (const key of stored()) sessionStorage.removeItem(key);
  });
  if (!user) return;

  // The address of a refused form is no page: to load it again, the page's own is better.
  if (here && location.pathname !== here) history.replaceState(null, "", here);
  const mine = `${PREFIX}${user}.`;
  for (const key of stored()) if (!key.startsWith(mine)) sessionStorage.removeItem(key);
  const key = mine + (here ?? location.pathname);

  const read = (name) => JSON.parse(sessionStorage.getItem(name) || "{}");
  function write(name, texts) {
    if (Object.keys(texts).length) sessionStorage.setItem(name, JSON.stringify(texts));
    else sessionStorage.removeItem(name);
  }
  const isText = (field) => field.matches?.("textarea, input[type=text], input[type=date], input[type=datetime-local]");
  const nameOf = (field) => `${field.form.id}/${field.name}`;

  document.addEventListener("input", ({ target }) => {
    if (!isText(target) || !target.form?.closest(".act")) return;
    const texts = read(key);
    if (target.value === target.defaultValue) delete texts[nameOf(target)];
    else texts[nameOf(target)] = target.value;
    write(key, texts);
  });
  document.addEventListener("submit", ({ target }) => {
    if (target.closest(".act")) sessionStorage.setItem(SENT, JSON.stringify({ from: key, form: target.id }));
  });

  // What was sent and taken is done with: the page that follows says so.
  const sent = read(SENT);
  sessionStorage.removeItem(SENT);
  if (sent.from && document.querySelector(".messages .success")) {
    const left = Object.entries(read(sent.from)).filter(([name]) => !name.startsWith(`${sent.form}/`));
    write(sent.from, Object.fromEntries(left));
  }

  function note(text, before, discard) {
    const line = Object.assign(document.createElement("p"), { className: "note kept", textContent: `${text} ` });
    line.setAttribute("role", "status");
    const button = Object.assign(document.createElement("button"), { type: "button", className: "link" });
    button.textContent = "Discard it";
    button.addEventListener("click", () => {
      discard();
      line.remove();
    });
    line.append(button);
    before.before(line);
    return line;
  }

  const texts = read(key);
  const homeless = [];
  const restored = new Map();
  for (const [name, text] of Object.entries(texts)) {
    const [form, field] = name.split("/");
    const found = document.getElementById(form)?.elements?.[field];
    if (!found || !isText(found)) homeless.push([name, text]);
    else if (found.value !== text && found.value === found.defaultValue) {
      found.value = text;
      restored.set(found.form, [...(restored.get(found.form) ?? []), found]);
    }
  }
  function forget(names) {
    write(key, Object.fromEntries(Object.entries(read(key)).filter(([name]) => !names.includes(name))));
  }
  for (const [form, fields] of restored) {
    const folded = form.closest("details");
    if (folded) folded.open = true;
    note("What you had typed is here again; nothing was recorded.", form, () => {
      for (const field of fields) field.value = field.defaultValue;
      forget(fields.map(nameOf));
    });
  }
  const place = document.querySelector(".side, #content");
  if (homeless.length && place && !document.querySelector(".errorlist")) {
    const box = document.createElement("blockquote");
    box.textContent = homeless.map(([, text]) => text).join("\n\n");
    const first = place.firstElementChild ?? place.appendChild(document.createElement("div"));
    const line = note("What you had typed has no place here any more. It was:", first, () => {
      forget(homeless.map(([name]) => name));
    });
    line.append(box);
  }
})();
