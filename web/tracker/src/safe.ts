// What the tracker does must never be an exception on the page: it is of less importance than the page.

/** What `work` answers; undefined if it throws. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** The same function, but an error within it stays within it. */
export const safe =
  <A extends unknown[]>(work: (...given: A) => void) =>
  (...given: A): void =>
    attempt(() => work(...given));
