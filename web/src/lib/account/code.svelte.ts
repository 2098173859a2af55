import type { ApiError } from "../errors.ts";

/**
 * The code of a second factor in a form: the API asks for it once the password fits, and from then on the form sends it. That first
 * question is no fault of the person's, so `error` leaves it out. Call it while a component is made.
 */
export function codeOnDemand(failure: () => ApiError | null) {
  let question = $state.raw<ApiError | null>(null);
  let value = $state("");
  $effect(() => {
    const error = failure();
    if (!question && error && "code" in error.fields) question = error;
  });
  return {
    get wanted() {
      return question !== null;
    },
    get value() {
      return value;
    },
    set value(typed) {
      value = typed;
    },
    /** What the request says of it. */
    get given(): { code?: string } {
      return question ? { code: value } : {};
    },
    get error(): ApiError | null {
      const error = failure();
      return error && (error === question || (!question && "code" in error.fields)) ? null : error;
    },
    /** Another account has no code, or another one. */
    forget() {
      question = null;
      value = "";
    },
  };
}
