// @ts-check
/** Who may use the pages: links are made, and taken back at once. */

import { api } from "./api.js";
import { byId, fill, h, table } from "./dom.js";

const WORDS = { viewer: "looks", annotator: "answers questions", owner: "does everything" };

/** @param {Error} error */
function complain(error) {
  fill(byId("link"), h("span.against", {}, error.message));
}

async function refresh() {
  const people = await api("/people");
  fill(byId("people"), table("People", ["Name", "May", "Since", ""], people.map((/** @type {any} */ one) => [
    one.name,
    one.revoked ? "shut out" : WORDS[/** @type {keyof WORDS} */ (one.role)],
    new Date(one.at).toLocaleString(),
    one.revoked ? "" : h("button.danger", { type: "button", "aria-label": `Shut ${one.name} out`, onclick: () => {
      if (confirm(`Shut ${one.name} out at once? Their link and sessions end; their answers stay.`)) {
        api(`/people/${encodeURIComponent(one.name)}`, { method: "DELETE" }).then(refresh, complain);
      }
    } }, "Shut out")])));
}

byId("invite").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  try {
    const made = await api("/people", { method: "POST", body: Object.fromEntries(new FormData(form)) });
    const link = location.origin + made.path;
    fill(byId("link"), `Give ${made.name} this link; it is shown once: `, h("code", {}, link), " ",
      h("button", { type: "button", onclick: () => navigator.clipboard?.writeText(link) }, "Copy"));
    form.reset();
    await refresh();
  } catch (error) {
    complain(/** @type {Error} */ (error));
  }
});

refresh().catch(complain);
