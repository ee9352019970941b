// @ts-check
/** Making elements. Texts of data, people and models only ever become text nodes. */

/**
 * @param {string} tag with classes after dots: "p.muted.small"
 * @param {Record<string, any>} [attributes] `on…` are listeners; undefined, null, false are left out
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    const isSaid = key.startsWith("aria-"); // there false is a word, too
    if (value === undefined || value === null || (value === false && !isSaid)) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true && !isSaid ? "" : String(value));
  }
  fill(element, ...children);
  return element;
}

/** @param {string} tag @param {Record<string, any>} [attributes] @param {...(Node|string)} children @returns {any} */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/** @param {Element} element @param {...any} children */
export function fill(element, ...children) {
  element.replaceChildren(
    ...children.filter((child) => child !== null && child !== undefined && child !== false)
      .map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))),
  );
}

/** @param {string} id @returns {any} */
export function byId(id) {
  return document.getElementById(id);
}

/** @param {number|string|null|undefined} amount */
export function dollars(amount) {
  if (amount === null || amount === undefined) return "–";
  const value = Number(amount);
  const places = value !== 0 && Math.abs(value) < 0.1 ? 4 : 2;
  const words = value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  return `${words} USD`;
}

/** @param {number|null|undefined} share @param {number} [n] how many it was measured on */
export function percent(share, n = 0) {
  if (share === null || share === undefined) return "–";
  return `${(100 * share).toFixed(n >= 1000 ? 1 : 0)} %`;
}

/** @param {number} count @param {string} noun */
export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** @param {[string, string][]} pairs @returns {any} */
export function facts(pairs) {
  return h("dl.facts", {}, ...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/**
 * A table that scrolls by itself where it is too wide. Numbers stand at the right; false is left out.
 * @param {string} label @param {(string|false)[]} head @param {any[][]} rows @returns {any}
 */
export function table(label, head, rows) {
  const cell = (/** @type {any} */ value) => (value instanceof HTMLTableCellElement ? value
    : h(typeof value === "number" ? "td.number" : "td", {}, typeof value === "number" ? value.toLocaleString("en") : value));
  const kept = (/** @type {any[]} */ values) => values.filter((value) => value !== false);
  const first = kept(rows[0] ?? []).map(cell);
  const heading = (/** @type {string} */ name, /** @type {number} */ column) =>
    (name ? h(first[column]?.classList.contains("number") ? "th.number" : "th", { scope: "col" }, name) : h("td"));
  return h("div.scroll", { tabindex: 0, role: "group", "aria-label": label || "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, ...kept(head).map(heading))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...kept(row).map(cell))))));
}

/** The drawer at the right, for one thing at a time. @param {string} title @param {...any} children */
export function openDrawer(title, ...children) {
  const drawer = byId("drawer");
  const close = h("button.quiet", { type: "button", onclick: closeDrawer }, "Close");
  fill(drawer, h("div.row", {}, h("h2", {}, title), close), ...children);
  drawer.hidden = false;
  close.focus();
}

export function closeDrawer() {
  const drawer = byId("drawer");
  drawer.hidden = true;
  drawer.replaceChildren();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("drawer")?.hidden) closeDrawer();
});
