// @ts-check
/** What rows vary in: a line an attribute, written by hand or found in the seeds by the writer. */

import { api } from "./api.js";
import { dollars, fill, h, plural, table } from "./dom.js";

const SAMPLE = 24;
const MOST = 0.1;

/**
 * Read lines like "tone: polite 73 % | angry 27 %"; without any shares they are equal.
 * @param {string} words
 */
export function attributesOf(words) {
  /** @type {Record<string, {values: string[], shares?: number[]}>} */
  const attributes = {};
  for (const line of words.split("\n")) {
    const place = line.indexOf(":");
    const name = (place < 0 ? line : line.slice(0, place)).trim();
    if (!name) continue;
    const parts = place < 0 ? [] : line.slice(place + 1).split("|").map((part) => part.trim()).filter(Boolean);
    const read = parts.map((part) => /^(.*\S)\s+(\d+(?:\.\d+)?)\s*%$/s.exec(part) ?? [part, part, ""]);
    const values = read.map((found) => found[1]);
    // Where some have a share, those without one have none, and the server says what is amiss.
    const hasShares = read.some((found) => found[2]);
    attributes[name] = hasShares ? { values, shares: read.map((found) => Number(found[2]) / 100) } : { values };
  }
  return attributes;
}

/** Write attributes so that they are read as they are. @param {Record<string, any>} attributes */
export function linesOf(attributes) {
  return Object.entries(attributes).map(([name, { values, shares }]) => `${name}: ${values.map((/** @type {string} */ value, /** @type {number} */ place) =>
    `${value.replaceAll("|", "/")} ${Number((100 * shares[place]).toFixed(2))} %`).join(" | ")}`);
}

/** Let the writer find them in the seeds. @param {HTMLFormElement} form @param {() => any} request what the form asks for now */
export function attributeFinder(form, request) {
  const field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("attributes"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector(".find"));
  const box = /** @type {Element} */ (form.querySelector(".found"));
  fill(/** @type {Element} */ (form.querySelector(".find-cost")), `The model that writes reads ${SAMPLE} of the seeds, which is paid like all its calls: one, and one more a seed, for at most ${dollars(MOST)}; a model on this machine costs nothing.`);

  button.addEventListener("click", async () => {
    const asked = request();
    button.disabled = true;
    fill(box, h("p.small.muted", {}, "The seeds are read. With a model on this machine that takes minutes; it stops when you leave the page."));
    try {
      if (!asked.seeds?.file) throw new Error("Choose a file with seeds first: attributes are found in them.");
      // What is found is there to be compared with what is written already, not to be checked with it.
      const found = await api("/jobs/attributes", { method: "POST", body: { request: { ...asked, attributes: {} }, sample: SAMPLE, usd: String(MOST) } });
      show(found);
      keep(found.attributes);
    } catch (error) {
      fill(box, h("p.small.against", {}, /** @type {Error} */ (error).message));
    }
    button.disabled = false;
  });

  /** @param {any} found */
  function show(found) {
    const rows = Object.entries(found.attributes).flatMap(([name, { values, shares }]) => values.map((/** @type {string} */ value, /** @type {number} */ place) =>
      [place ? "" : name, value, h("td.number", {}, `${Number((100 * shares[place]).toFixed(2))} %`), place ? "" : `${found.placed[name]} of ${plural(found.sample, "seed")}`]));
    fill(box, table("Attributes that were found", ["Attribute", "Value", "Share", "Seeds that have one of the values"], rows),
      h("p.small.muted", {}, `That cost ${dollars(found.usd)}. Read it before you use it: a model named it. It stands in the field above, to be changed.`),
      ...found.told.map((/** @type {string} */ line) => h("p.small.muted", {}, line)));
  }

  /** Lines about other attributes stay. @param {Record<string, any>} attributes */
  function keep(attributes) {
    const others = field.value.split("\n").filter((line) => line.trim() && !(line.split(":")[0].trim() in attributes));
    field.value = [...linesOf(attributes), ...others].join("\n");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
