import type { Tx } from "../kernel/database/db.ts";
import { parseBoolean, parseDate, parseNumber } from "./normalize.ts";
import { clean, plain } from "../kernel/text.ts";

/** Typed values of custom fields. */

export const CUSTOM_TYPES = ["text", "number", "date", "boolean", "select", "url"] as const;
export type CustomType = (typeof CUSTOM_TYPES)[number];
export type CustomDef = { key: string; label: string; type: CustomType; options: string[] };
export type CustomValue = string | number | boolean;

/** The team's custom fields by key. Few per team (100 at most), so they are read whole. */
export async function loadCustomFields(db: Tx, tenantId: string): Promise<Map<string, CustomDef>> {
  const rows = await db<CustomDef[]>`
    select key, label, type, options from public.custom_fields where tenant_id = ${tenantId} order by key`;
  return new Map(rows.map((row) => [row.key, { ...row }]));
}

const MAX_TEXT = 2000;

/** A value as the field's type stores it. Text is parsed, so that a CSV cell and a JSON value meet the same rules. */
export function customValue(def: CustomDef, given: unknown): { value: CustomValue } | { fault: string } {
  const text = typeof given === "string" ? clean(given) : given;
  const wrong = (wanted: string) => ({ fault: `${plain(JSON.stringify(given) ?? "", 60)} is not ${wanted}` });
  switch (def.type) {
    case "number": {
      const n = typeof text === "number" ? text : typeof text === "string" ? parseNumber(text) : null;
      return n !== null && Number.isFinite(n) ? { value: n } : wrong("a number");
    }
    case "boolean": {
      const b =
        typeof text === "boolean"
          ? text
          : typeof text === "string"
            ? parseBoolean(text)
            : text === 1
              ? true
              : text === 0
                ? false
                : null;
      return b === null ? wrong("yes or no") : { value: b };
    }
    case "date": {
      const d = typeof text === "string" ? parseDate(text) : null;
      return d === null ? wrong("a date; write it as YYYY-MM-DD") : { value: d };
    }
    case "select": {
      const option =
        typeof text === "string"
          ? (def.options.find((o) => o === text) ?? def.options.find((o) => o.toLowerCase() === text.toLowerCase()))
          : undefined;
      return option === undefined ? wrong(`one of ${def.options.join(", ")}`) : { value: option };
    }
    case "url": {
      const url = typeof text === "string" ? httpUrl(text) : null;
      return url === null ? wrong("a web address; it looks like https://example.com") : { value: url };
    }
    case "text": {
      if (typeof text !== "string" && typeof text !== "number" && typeof text !== "boolean") return wrong("text");
      const value = String(text);
      return value.length <= MAX_TEXT ? { value } : { fault: `is longer than ${MAX_TEXT} characters` };
    }
  }
}

function httpUrl(text: string): string | null {
  const candidate = /^[a-z][a-z0-9+.-]*:/i.test(text) ? text : `https://${text}`;
  try {
    const url = new URL(candidate);
    return /^https?:$/.test(url.protocol) && url.hostname.includes(".") && candidate.length <= MAX_TEXT
      ? url.href
      : null;
  } catch {
    return null;
  }
}
