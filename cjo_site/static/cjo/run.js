// The page of a run that is not over brings itself up to date. Without this file its link does.
"use strict";

const EVERY = 2000; // milliseconds
const AFTER_A_FAILURE = 10000;

let timer = null;

function parts(page) {
  return new Map([...page.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

// A screen reader hears it once each time that it changes.
function say(text) {
  const said = document.getElementById("run-said");
  if (said.textContent !== text) said.textContent = text;
}

function isLive() {
  return document.querySelector("[data-live]") !== null;
}

async function look() {
  timer = null;
  if (document.hidden) return; // until somebody looks again
  let fresh;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    say("The site does not answer at the moment.");
    later(AFTER_A_FAILURE);
    return;
  }
  const shown = parts(document);
  const read = parts(fresh);
  if (!read.size) {
    // What came is another page: the login, once the session is over.
    say("This page cannot be brought up to date any more. Reload it.");
    document.getElementById("run-said").classList.add("shown");
    return;
  }
  for (const [name, part] of read) {
    const old = shown.get(name);
    if (old && old.innerHTML !== part.innerHTML) old.replaceChildren(...part.childNodes);
  }
  say(fresh.getElementById("run-said").dataset.announced);
  if (isLive()) {
    later(EVERY);
  } else {
    for (const gone of document.querySelectorAll("[data-while-live]")) gone.remove();
  }
}

function later(milliseconds) {
  timer = setTimeout(look, milliseconds);
}

if (isLive()) {
  later(EVERY);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer === null && isLive()) look();
  });
}
