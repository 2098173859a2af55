/** What a measurement says, one JSON line each. */

export type Figure = {
  bench: string;
  /** Ours divided by the bare way in the same run, or absent where the figure is absolute. */
  ratio?: number;
  value?: number;
  unit: string;
  /** As `>= 0.7` or `< 50`; absent where the figure is only reported. */
  target?: string;
  ok: boolean;
  detail: Record<string, unknown>;
};

const round = (n: number): number => (Math.abs(n) >= 100 ? Math.round(n) : Number(n.toPrecision(3)));

/** For people: one digit behind the point. */
export const tenth = (n: number): number => Math.round(n * 10) / 10;

/** Compares a measured number with its target. */
export function meets(n: number, target: string | undefined): boolean {
  if (target === undefined) return true;
  const [, operator, bound] = /^(>=|<=|<) ([\d.]+)$/.exec(target) ?? [];
  if (!operator) throw new Error(`A target is ">= n", "<= n" or "< n", not "${target}".`);
  return operator === ">=" ? n >= Number(bound) : operator === "<=" ? n <= Number(bound) : n < Number(bound);
}

export const ratioFigure = (bench: string, ratio: number, target: string, detail: Record<string, unknown>): Figure => ({
  bench,
  ratio: round(ratio),
  unit: "ratio",
  target,
  ok: meets(ratio, target),
  detail,
});

export const valueFigure = (
  bench: string,
  value: number,
  unit: string,
  target: string | undefined,
  detail: Record<string, unknown> = {},
): Figure => ({
  bench,
  value: round(value),
  unit,
  ...(target ? { target } : {}),
  ok: meets(value, target),
  detail,
});

/** The value below which `p` of all lie (nearest rank). */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);

/** Runs and returns seconds. */
export async function seconds(fn: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await fn();
  return (performance.now() - started) / 1000;
}
