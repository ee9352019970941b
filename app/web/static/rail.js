// @ts-check
/** The rail's count of open questions, on every page of a run. */

import { api, firstRun, here, runPath } from "./api.js";
import { byId, fill } from "./dom.js";

const EVERY = 10000;

/** @param {() => Promise<any>} read */
async function count(read) {
  const box = byId("open-count");
  if (!box || document.hidden) return;
  const run = await read();
  fill(box, run.open_questions ? run.open_questions.toLocaleString("en") : "");
}

if (here.run) {
  count(firstRun).catch(() => {});
  setInterval(() => count(() => api(runPath)).catch(() => {}), EVERY);
}
