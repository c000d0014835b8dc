'use strict';
// The page asks its own door for itself every two seconds, and takes over what differs: so whoever has the focus or has
// selected something keeps it.
const main = document.querySelector('main');
const stale = document.getElementById('stale');
let answered = new Date();

function take(old, next) {
  if (old.nodeName !== next.nodeName) {
    old.replaceWith(document.importNode(next, true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [before, after] = [[...old.childNodes], [...next.childNodes]];
  after.forEach((node, place) => {
    if (place < before.length) take(before[place], node);
    else old.append(document.importNode(node, true));
  });
  before.slice(after.length).forEach((node) => node.remove());
}

function isBeingRead() {
  const selection = getSelection();
  return document.hidden || (!selection.isCollapsed && main.contains(selection.anchorNode));
}

async function refresh() {
  if (isBeingRead()) return;
  try {
    const response = await fetch('/', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(response.statusText);
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    if (page.documentElement.dataset.version !== document.documentElement.dataset.version) location.reload();
    take(main, page.querySelector('main'));
    document.title = page.title;
    answered = new Date();
    stale.hidden = true;
  } catch {
    stale.querySelector('span').textContent = answered.toISOString().slice(0, 19).replace('T', ' ');
    stale.hidden = false;
    document.title = '✕ no answer – respgate';
  }
}

async function go() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await refresh();
  }
}

document.addEventListener('visibilitychange', refresh);
go();
