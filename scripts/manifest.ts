/** What the scripts read of a module's module.ts, without loading its code. */
export type Module = { name: string; needs: readonly string[]; owns: readonly string[] };

/** The manifest of a module, read from the text of its module.ts: lists of plain strings. */
export function manifestOf(name: string, text: string): Module {
  const list = (key: string) =>
    [...(new RegExp(`\\b${key}:\\s*\\[([^\\]]*)\\]`).exec(text)?.[1] ?? "").matchAll(/"([\w.]+)"/g)].map((m) => m[1]!);
  return { name, needs: list("needs"), owns: list("owns") };
}
