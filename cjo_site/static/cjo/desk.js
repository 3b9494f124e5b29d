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
