// May the tracker know the visitor? By the page, by Google's Consent Mode, by the TCF API, and by the browser's own signals.
import { option } from "./page";
import { attempt, safe } from "./safe";

interface TcData {
  gdprApplies?: boolean;
  eventStatus?: string;
  purpose?: { consents?: Record<number, boolean> };
}

declare global {
  interface Window {
    dataLayer?: unknown[];
    __tcfapi?: (command: string, version: number, callback: (data: TcData, success: boolean) => void) => void;
  }
  interface Navigator {
    globalPrivacyControl?: boolean;
  }
}

export const WAITING = 0;
export const GIVEN = 1;
export const REFUSED = -1;
export type Consent = typeof WAITING | typeof GIVEN | typeof REFUSED;

const STORAGE = 1; // TCF's purpose 1: store and read on the device
const MEASURE = 7; // TCF's purpose 7: measure advertising

/** Whether the browser says that the visitor does not want to be followed. No consent of the page overrides it. */
export const signalled = (): boolean => navigator.globalPrivacyControl === true || navigator.doNotTrack == "1";

/** Call `notify` with each answer of a consent manager of the page, now and later. A default of "denied" means: wait. */
function listen(notify: (consent: Consent) => void): void {
  let layer: unknown[] | undefined;
  let tcf = false;
  const read = safe((entry: unknown): void => {
    const [command, action, settings] = Array.from((entry as ArrayLike<unknown>) || []) as [string, string, Record<string, string>];
    if (command != "consent" || !settings) return;
    const storage = settings.analytics_storage;
    if (storage == "granted") notify(GIVEN);
    else if (storage) notify(action == "update" ? REFUSED : WAITING);
  });
  const google = (): void => {
    if (layer || !Array.isArray(window.dataLayer)) return;
    layer = window.dataLayer;
    const push = layer.push;
    layer.forEach(read);
    layer.push = function (...entries: unknown[]): number {
      const length = push.apply(this, entries);
      entries.forEach(read);
      return length;
    };
  };
  const iab = (): void => {
    if (tcf || !window.__tcfapi) return;
    tcf = true;
    notify(WAITING);
    window.__tcfapi("addEventListener", 2, safe((data, success) => {
      const given = (data && data.purpose && data.purpose.consents) || {};
      if (!success) return;
      if (data.gdprApplies === false) notify(GIVEN);
      else if (data.eventStatus == "tcloaded" || data.eventStatus == "useractioncomplete")
        notify(given[STORAGE] && given[MEASURE] ? GIVEN : REFUSED);
    }));
  };
  const attach = (): void => {
    attempt(google);
    attempt(iab);
  };
  attach();
  addEventListener("load", attach); // a consent manager may be loaded after the tracker
}

/** The consent at the start; `change` is called with each later answer of a consent manager. `known`: the visitor's cookie is there. */
export function consentAtStart(known: boolean, change: (consent: Consent) => void): Consent {
  if (signalled()) return REFUSED;
  let consent: Consent = option("consent") == "wait" && !known ? WAITING : GIVEN;
  let started = false;
  listen(answer => {
    if (started) change(answer);
    else consent = answer;
  });
  started = true;
  return consent;
}
