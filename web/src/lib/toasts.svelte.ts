import { toApiError } from "./errors.ts";

export type Toast = { id: number; tone: "good" | "bad"; title: string; detail?: string };

/** Short notes in the corner. Errors stay until closed: a person must be able to read and copy them. */
class Toasts {
  items = $state.raw<Toast[]>([]);
  #next = 1;

  good(title: string, detail?: string): void {
    this.#add({ tone: "good", title, detail }, 4000);
  }
  bad(thrown: unknown): void {
    const error = toApiError(thrown);
    const fields = Object.entries(error.fields).map(([path, text]) => `${path}: ${text}`);
    const detail = [error.suggestion, ...fields.slice(0, 3), error.requestId && `Request ${error.requestId}`]
      .filter(Boolean)
      .join(" · ");
    this.#add({ tone: "bad", title: error.detail, detail }, 0);
  }
  close(id: number): void {
    this.items = this.items.filter((t) => t.id !== id);
  }
  #add(toast: Omit<Toast, "id">, ms: number): void {
    const id = this.#next++;
    this.items = [...this.items.slice(-3), { ...toast, id }];
    if (ms) setTimeout(() => this.close(id), ms);
  }
}
export const toasts = new Toasts();
