// @ts-check
/** A long list of which only the rows in sight exist; pages of it are fetched as they are needed. */

import { fill, h } from "./dom.js";

export const PAGE = 100;
const KEPT = 20; // pages in memory: what is far away is fetched again

/**
 * @template T
 * @param {any} box scrolls, and takes the keys
 * @param {{height: number, fetchPage: (skip: number, limit: number) => Promise<T[]>,
 *   draw: (row: T) => Node[], open: (row: T) => void, fail: (error: Error) => void}} options
 */
export function longList(box, { height, fetchPage, draw, open, fail }) {
  const all = h("div.all", { role: "presentation" });
  box.replaceChildren(all);
  /** @type {Map<number, T[]|null>} */
  let pages = new Map();
  /** @type {Map<number, any>} those in sight */
  const lines = new Map();
  let total = 0;
  let chosen = -1;
  let wanted = -1; // to be opened
  let age = 0; // answers to questions of before a change are dropped

  /** @param {number} page */
  async function need(page) {
    if (pages.has(page)) return;
    pages.set(page, null);
    const asked = age;
    try {
      const rows = await fetchPage(page * PAGE, PAGE);
      if (asked !== age) return;
      pages.set(page, rows);
      if (pages.size > KEPT) {
        const far = [...pages.keys()].sort((a, b) => Math.abs(b - page) - Math.abs(a - page));
        for (const key of far.slice(0, pages.size - KEPT)) pages.delete(key);
      }
      paint();
      openWanted();
    } catch (error) {
      if (asked !== age) return;
      pages.delete(page);
      fail(/** @type {Error} */ (error));
    }
  }

  /** @param {number} place @returns {T|undefined} */
  function at(place) {
    return pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  }

  function paint() {
    const first = Math.max(0, Math.floor(box.scrollTop / height) - 5);
    const last = Math.min(total, Math.ceil((box.scrollTop + box.clientHeight) / height) + 5);
    for (const [place, line] of lines) {
      if (place >= first && place < last) continue;
      line.remove();
      lines.delete(place);
    }
    for (let place = first; place < last; place += 1) {
      const row = at(place);
      if (row === undefined) void need(Math.floor(place / PAGE));
      const line = lines.get(place) ?? addLine(place);
      line.setAttribute("aria-selected", String(place === chosen));
      fill(line, ...(row === undefined ? [h("span.muted", { role: "gridcell" }, "…")] : draw(row)));
    }
    if (chosen >= 0) box.setAttribute("aria-activedescendant", `row-${chosen}`);
  }

  /** A place keeps its line however often it is painted: a click on one that is replaced between
   * press and release would be lost. @param {number} place */
  function addLine(place) {
    const line = h("div.item", { role: "row", id: `row-${place}`, "aria-rowindex": place + 1, onclick: () => choose(place, true) });
    line.style.top = `${place * height}px`;
    const next = [...lines.keys()].filter((other) => other > place);
    all.insertBefore(line, next.length ? lines.get(Math.min(...next)) : null);
    lines.set(place, line);
    return line;
  }

  /** @param {number} place @param {boolean} opens */
  function choose(place, opens) {
    if (place < 0 || place >= total) return;
    chosen = place;
    const top = place * height;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
    paint();
    wanted = opens ? place : -1;
    openWanted();
  }

  /** Open the chosen row, at once or when it has come. */
  function openWanted() {
    const row = wanted < 0 ? undefined : at(wanted);
    if (row === undefined) return;
    wanted = -1;
    open(row);
  }

  let frame = 0;
  box.addEventListener("scroll", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(paint);
  });
  addEventListener("resize", paint);
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const rows = Math.max(1, Math.floor(box.clientHeight / height) - 1);
    /** @type {Record<string, number>} */
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -total, End: total };
    if (event.key === "Enter") choose(chosen, true);
    else if (event.key in moves) choose(Math.min(total - 1, Math.max(0, chosen + moves[event.key])), false);
    else return;
    event.preventDefault();
  });

  return {
    /** Show another list, of which the first page is there. @param {T[]} rows */
    show(rows) {
      age += 1;
      chosen = -1;
      pages = new Map([[0, rows]]);
      box.scrollTop = 0;
      this.setLength(rows.length);
    },
    /** Tell how long it is in all. @param {number} count */
    setLength(count) {
      total = count;
      all.style.height = `${count * height}px`;
      box.setAttribute("aria-rowcount", String(count));
      paint();
    },
    /** Fetch again what is in sight, and stay where one is. */
    refresh() {
      age += 1;
      pages = new Map();
      paint();
    },
  };
}
