// @ts-check
/** One stream of a run's events for all tabs together. A browser has six connections to a server:
 * were each tab to keep one, the seventh would hang. So one tab listens and tells the others; when it
 * goes, another takes up the stream where it was. */

import { here, runPath } from "./api.js";

/**
 * @param {number} after id of the last event that is known
 * @param {(event: {id: number, kind: string, at: string, data: any}) => void} take
 */
export function follow(after, take) {
  const name = `querist-stream-${here.run}`;
  const line = document.getElementById("line");
  let channel = new BroadcastChannel(name);
  let seen = after;
  /** @type {EventSource|null} */
  let source = null;
  let leave = () => {};

  /** @param {any} told */
  function hear(told) {
    if (line && told.lost !== undefined) line.hidden = !told.lost;
    if (!told.event || told.event.id <= seen) return;
    seen = told.event.id;
    take(told.event);
  }

  /** @param {any} told */
  function tell(told) {
    channel.postMessage(told);
    hear(told);
  }

  function listen() {
    source = new EventSource(`/api${runPath}/stream?after=${seen}`);
    source.onopen = () => tell({ lost: false });
    source.onmessage = (message) => tell({ event: { id: Number(message.lastEventId), ...JSON.parse(message.data) } });
    source.onerror = () => {
      tell({ lost: true });
      // A browser gives up for good where the answer is no stream, as from a server that restarts.
      if (source?.readyState === EventSource.CLOSED) setTimeout(() => { if (source) listen(); }, 1000);
    };
  }

  function join() {
    channel.onmessage = (message) => hear(message.data);
    const over = new AbortController();
    const turn = navigator.locks.request(name, { signal: over.signal }, () => new Promise((done) => {
      leave = () => { source?.close(); source = null; done(undefined); };
      listen();
    }));
    turn.catch(() => {}); // it left before its turn came
    leave = () => over.abort();
  }

  // A page that is left must not keep the stream in the browser's back-forward cache.
  addEventListener("pagehide", () => { leave(); channel.close(); });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    channel = new BroadcastChannel(name);
    join();
  });
  join();
}
