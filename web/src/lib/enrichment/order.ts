import type { EnrichmentField, EnrichmentKind, EnrichmentSource } from "../api/types.ts";
import { dollarsOf, microsOf } from "../format.ts";

/** The order of the providers as somebody edits it, and as the API takes it. */

export type Unused = { kind: EnrichmentKind; connection_id: string; connection_name: string; provider: string };
export type Draft = {
  connection_id: string;
  name: string;
  provider: string;
  /** The connection's; null for one that was added just now. */
  status: string | null;
  is_enabled: boolean;
  fields: EnrichmentField[] | null;
  /** What it gives; null until it was saved once. */
  gives: EnrichmentField[] | null;
  /** Dollars a unit, as written; empty: the list price. */
  price: string | number | null;
  list_micros: number | null;
  units: number;
};
export type Order = Record<string, Draft[]>;

/** Every kind has a list, also one that is empty. */
export function toOrder(kinds: readonly string[], sources: readonly EnrichmentSource[]): Order {
  return Object.fromEntries(
    kinds.map((kind) => [
      kind,
      sources
        .filter((s) => s.kind === kind)
        .toSorted((a, b) => a.position - b.position)
        .map((s) => ({
          connection_id: s.connection_id,
          name: s.connection_name,
          provider: s.provider,
          status: s.connection_status,
          is_enabled: s.is_enabled,
          fields: s.fields,
          gives: s.gives,
          price: dollarsOf(s.unit_micros),
          list_micros: s.list_unit_micros,
          units: s.units,
        })),
    ]),
  );
}

export const toDraft = (unused: Unused): Draft => ({
  connection_id: unused.connection_id,
  name: unused.connection_name,
  provider: unused.provider,
  status: null,
  is_enabled: true,
  fields: null,
  gives: null,
  price: "",
  list_micros: null,
  units: 1,
});

/** The row `at` goes up (-1) or down (1); at an end it stays. */
export function moved<T>(list: readonly T[], at: number, by: -1 | 1): T[] {
  const to = at + by;
  if (to < 0 || to >= list.length) return [...list];
  const next = [...list];
  [next[at], next[to]] = [next[to]!, next[at]!];
  return next;
}

export const toWritten = (order: Order) =>
  Object.fromEntries(
    Object.entries(order).map(([kind, list]) => [
      kind,
      list.map(({ connection_id, is_enabled, fields, price }) => ({
        connection_id,
        is_enabled,
        fields,
        unit_micros: microsOf(price),
      })),
    ]),
  );
