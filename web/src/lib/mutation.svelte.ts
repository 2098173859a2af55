import { toApiError, type ApiError } from "./errors.ts";
import { toasts } from "./toasts.svelte.ts";

/**
 * One write a person starts: busy state, the error for the form, a toast when there is no form to show it.
 * The idempotency key survives a failed try, so pressing the button again after a timeout cannot act twice.
 */
export class Mutation<A extends unknown[], T> {
  busy = $state(false);
  error = $state.raw<ApiError | null>(null);
  #act: (key: string, ...args: A) => Promise<T>;
  #key = crypto.randomUUID();
  #body = "";
  #options: { toast?: boolean; done?: string | ((result: T) => string) };

  constructor(
    act: (key: string, ...args: A) => Promise<T>,
    options: { toast?: boolean; done?: string | ((result: T) => string) } = {},
  ) {
    this.#act = act;
    this.#options = options;
  }

  /** Field path to message, straight from the server. */
  get fields(): Record<string, string> {
    return this.error?.fields ?? {};
  }

  /** Runs the write; `undefined` means it failed and `error` says why. */
  run = async (...args: A): Promise<T | undefined> => {
    if (this.busy) return undefined;
    const body = JSON.stringify(args);
    // Another input is another intent: the API refuses a key that comes back with a different body.
    if (body !== this.#body || (this.error && this.error.status >= 400 && this.error.status < 500))
      this.#key = crypto.randomUUID();
    this.#body = body;
    this.busy = true;
    this.error = null;
    try {
      const result = await this.#act(this.#key, ...args);
      this.#key = crypto.randomUUID();
      const done = this.#options.done;
      if (done) toasts.good(typeof done === "function" ? done(result) : done);
      return result;
    } catch (thrown) {
      this.error = toApiError(thrown);
      if (this.#options.toast !== false) toasts.bad(this.error);
      return undefined;
    } finally {
      this.busy = false;
    }
  };
}

/** `const save = mutation((key, input) => api.post('/x', { body: input, idempotencyKey: key }))` */
export function mutation<A extends unknown[], T>(
  act: (key: string, ...args: A) => Promise<T>,
  options: { toast?: boolean; done?: string | ((result: T) => string) } = {},
): Mutation<A, T> {
  return new Mutation(act, options);
}
