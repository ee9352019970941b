// @ts-check
/** Talking to the server: JSON in and out, errors with the server's own words. */

export class Refused extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * @param {string} path below /api
 * @param {{method?: string, body?: unknown, key?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function api(path, { method = "GET", body, key, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
  const answer = await fetch(`/api${path}`, {
    method,
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => null);
  if (!answer.ok) {
    const error = said?.error;
    throw new Refused(answer.status, error?.code ?? "failed", error?.message ?? answer.statusText);
  }
  return said;
}

/** Hand a file in. @param {File} chosen @returns {Promise<any>} */
export async function upload(chosen) {
  const answer = await fetch(`/api/uploads?name=${encodeURIComponent(chosen.name)}`, { method: "POST", body: chosen });
  const kept = await answer.json();
  if (!answer.ok) throw new Error(kept.error.message);
  return kept;
}

/** The page's frame says which run it is about, and who looks at it. */
export const here = document.body.dataset;
export const runPath = `/runs/${encodeURIComponent(here.run ?? "")}`;

/** @type {Promise<any>|null} */
let first = null;

/** The run as it stood when the page was opened: asked for once, however many parts of it ask. */
export function firstRun() {
  first ??= api(runPath);
  return first;
}
