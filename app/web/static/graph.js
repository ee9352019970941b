// @ts-check
/** The loop's eleven steps, drawn once; the one that is under way is filled. */

import { svg } from "./dom.js";

/** @type {Record<string, [number, number]>} centre of each step */
const PLACES = {
  initialize: [60, 40], control: [190, 40], select: [320, 40], generate: [320, 100],
  annotate: [450, 70], verify: [570, 70], escalate: [690, 70], train: [690, 150],
  evaluate: [530, 150], wait: [190, 110], finish: [60, 110],
};
/** @type {[string, string][]} */
const EDGES = [
  ["M105 40H145", ""], ["M235 40H275", ""], ["M228 56L282 83", ""], ["M365 40L404 60", ""],
  ["M365 100L405 84", ""], ["M495 70H525", ""], ["M615 70H645", ""], ["M570 55C555 22 475 22 455 53", "sent back"],
  ["M690 85V133", ""], ["M645 150H577", ""], ["M485 150C300 162 258 130 216 58", ""],
  ["M185 57V93", ""], ["M175 95C160 85 165 70 172 58", ""], ["M150 52L90 94", ""],
];

/** @param {(step: string) => void} open @returns {any} */
export function drawGraph(open) {
  const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
    svg("path", { d: "M0 0L8 4L0 8z" }));
  const nodes = Object.entries(PLACES).map(([name, [x, y]]) => {
    const node = svg("g", { class: "node", "data-step": name, tabindex: 0, role: "button", "aria-label": `${name}: what was decided last` },
      svg("rect", { x: x - 45, y: y - 16, width: 90, height: 32, rx: 6 }),
      svg("text", { x, y: y + 4 }, name));
    node.addEventListener("click", () => open(name));
    node.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(name); }
    });
    return node;
  });
  return svg("svg", { class: "graph", viewBox: "0 0 750 180", role: "group", "aria-label": "Steps of the loop" },
    svg("defs", {}, arrow), ...EDGES.map(([d]) => svg("path", { d, "marker-end": "url(#arrow)" })), ...nodes);
}

/** @param {Element} graph @param {string} step */
export function showStep(graph, step) {
  for (const node of graph.querySelectorAll(".node")) {
    node.toggleAttribute("data-live", node.getAttribute("data-step") === step);
  }
}

/** Which agent decides at a step. @type {Record<string, string>} */
export const AGENT_OF = {
  control: "budget_controller", wait: "budget_controller", finish: "budget_controller", select: "selector",
  generate: "generator", annotate: "annotator", verify: "verifier", escalate: "verifier",
};
