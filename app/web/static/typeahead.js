// @ts-check
/** Find a label by typing a part of its name, as the inbox in the terminal does. */

export const MOST_SHOWN = 9;

/**
 * The labels that fit, the best first: by their beginning, a word's beginning, a part; of equal ones
 * the likeliest. Nothing shows before something was typed.
 * @param {string[]} names @param {string} typed @param {string[]} [likely]
 */
export function matches(names, typed, likely = []) {
  const wanted = typed.trim();
  if (!wanted) return [];
  const order = new Map(likely.map((name, place) => [name, place]));
  return names
    .map((name, place) => ({ name, place, rank: rank(name, wanted), likely: order.get(name) ?? likely.length }))
    .filter((found) => found.rank !== null)
    .sort((a, b) => Number(a.rank) - Number(b.rank) || a.likely - b.likely || a.place - b.place)
    .map((found) => found.name);
}

/** What Enter takes: the label that is spelled out, or the one that alone fits best. @param {string[]} found @param {string} typed */
export function settled(found, typed) {
  const wanted = typed.trim();
  const exact = found.filter((name) => fold(name) === fold(wanted));
  const best = found.filter((name) => rank(name, wanted) === rank(found[0], wanted));
  const alone = exact.length === 1 ? exact : best;
  return alone.length === 1 ? alone[0] : null;
}

/** Whether a digit goes on with a name, as in `topic 17`, instead of choosing. @param {string[]} names @param {string} typed @param {string} digit */
export function isSpelled(names, typed, digit) {
  const longer = fold((typed + digit).trimStart());
  return names.some((name) => fold(name).includes(longer));
}

/** @param {string} text */
const fold = (text) => text.toLowerCase();

/** @param {string} name @param {string} typed */
function rank(name, typed) {
  const folded = fold(name);
  const wanted = fold(typed);
  if (folded.startsWith(wanted)) return 0;
  const words = folded.replaceAll(/[_-]/g, " ").split(/\s+/);
  if (words.some((word) => word.startsWith(wanted))) return 1;
  if (folded.includes(wanted)) return 2;
  return wanted.split(/\s+/).every((part) => words.some((word) => word.startsWith(part))) ? 3 : null;
}
