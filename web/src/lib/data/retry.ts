import { toApiError } from "../errors.ts";

const TRIES = 3;
/** A server that wants a longer pause is better asked by a person. */
const LONGEST_WAIT = 20;

/** Whether a read is worth asking again: nobody answered, the server failed, or it is busy. What was refused stays refused. */
export function retry(failures: number, thrown: unknown): boolean {
  const { status, retryAfter } = toApiError(thrown);
  if (failures >= TRIES - 1 || (retryAfter ?? 0) > LONGEST_WAIT) return false;
  return status === 0 || status === 429 || status >= 500;
}

/** Milliseconds until the next try: what the server named, else half a second, doubling, spread so that tabs do not march in step. */
export function retryDelay(failures: number, thrown: unknown): number {
  const { retryAfter } = toApiError(thrown);
  return retryAfter !== null ? retryAfter * 1000 : 500 * 2 ** failures * (0.75 + Math.random() / 2);
}
