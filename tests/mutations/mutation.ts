/**
 * What happens when a guard is gone. Each row takes one guard out of one file and names the test that must then be red;
 * `npm run mutations` does it in a copy. docs/concepts/guarantees.md makes the promises.
 */
export type Mutation = {
  section: Section;
  /** As it stands in docs/concepts/guarantees.md. */
  promise: string;
  /** The guard's file. A function that a later migration defines anew is mutated there. */
  file: string;
  /** Stands once in the file. */
  find: string;
  replace: string;
  test: string;
  /** The test's title as its file writes it. */
  name: string;
  /** The guard is in the console, which must be built first. */
  build?: true;
};

export type Section = "isolation" | "hostile input" | "sending" | "operations";

export const hostile = (name: string) => `tests/hostile/${name}.test.ts`;

export const of = (section: Section, rows: readonly Omit<Mutation, "section">[]): Mutation[] =>
  rows.map((row) => ({ section, ...row }));
