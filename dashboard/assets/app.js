// Makes the overview live: the server sends its parts again whenever they change, and here the page is changed where they differ.
"use strict";

// morph makes the element "from" like the element "to", and leaves all that is equal as it is: focus, selection, animations, open details.
function morph(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  children(from, to);
}

// alike reports whether two nodes are the same part of the page, at two times.
function alike(a, b) {
  const key = (node) => node.id || (node.dataset && node.dataset.key) || (node.classList && node.classList[0]);
  return a.nodeName === b.nodeName && key(a) === key(b);
}

// children makes the children of "from" like those of "to". Nodes of white space alone are left where they are.
function children(from, to) {
  const parts = (node) => [...node.childNodes].filter((child) => child.nodeType === Node.ELEMENT_NODE || child.data.trim());
  const old = parts(from);
  for (const node of parts(to)) {
    const at = old.findIndex((other) => alike(other, node));
    if (at < 0) {
      from.insertBefore(node, old[0] || null);
      continue;
    }
    old.splice(0, at).forEach((other) => other.remove());
    const other = old.shift();
    if (node.nodeType === Node.ELEMENT_NODE) morph(other, node);
    else if (other.data !== node.data) other.data = node.data;
  }
  old.forEach((other) => other.remove());
}

function start(state, hold) {
  let source = null;
  const say = (text, kind) => {
    if (state.textContent !== text) state.textContent = text;
    state.className = "live " + kind;
  };
  const open = () => {
    source = new EventSource(state.dataset.live);
    source.onopen = () => say("Live", "on");
    source.onerror = () => say("No connection: the figures are old", "off");
    for (const id of ["life", "lateness", "load", "workers", "partitions"]) {
      source.addEventListener(id, (event) => {
        const page = new DOMParser().parseFromString("<main>" + event.data + "</main>", "text/html");
        children(document.getElementById(id), page.querySelector("main"));
      });
    }
  };
  const close = (text) => {
    if (source) source.close();
    source = null;
    say(text, "");
  };
  const held = () => hold.getAttribute("aria-pressed") === "true";
  hold.addEventListener("click", () => {
    hold.setAttribute("aria-pressed", String(!held()));
    if (held()) close("Held");
    else open();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close("Held");
    else if (!held() && !source) open();
  });
  state.hidden = hold.hidden = false;
  say("Connecting", "");
  open();
}

const state = document.getElementById("state");
if (state) start(state, document.getElementById("hold"));
