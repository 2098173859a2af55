/** A day of the calendar in UTC, as the ledger counts days. */
const dayOf = (at: Date): string => at.toISOString().slice(0, 10);

/** The last `days` days up to `now`, oldest first: days on which nothing was spent are days too. In dollars. */
export function dailySpending(
  rows: readonly { key: string | null; amount_micros: number }[],
  days: number,
  now: Date,
): { at: string; spent: number }[] {
  const known = new Map(rows.map((r) => [r.key, r.amount_micros]));
  return Array.from({ length: days }, (_, i) => {
    const at = dayOf(new Date(now.getTime() - (days - 1 - i) * 86_400_000));
    return { at, spent: (known.get(at) ?? 0) / 1_000_000 };
  });
}
