import { z } from "zod";
import { type AnyOperation, pathParams } from "../../modules/kernel/operations/operation.ts";

/** Inputs made from an operation's own schema: what a caller who read the documentation would send. Deterministic by seed. */

export type Random = { next(): number; int(below: number): number; pick<T>(list: readonly T[]): T };

/** mulberry32: small, and the same everywhere. */
export function seeded(seed: number): Random {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (below: number) => Math.floor(next() * below);
  return { next, int, pick: (list) => list[int(list.length)]! };
}

export const seedOf = (text: string): number =>
  [...text].reduce((h, c) => (Math.imul(h, 31) + c.codePointAt(0)!) >>> 0, 7);

type Json = {
  type?: string | string[];
  $ref?: string;
  $defs?: Record<string, Json>;
  properties?: Record<string, Json>;
  required?: string[];
  additionalProperties?: Json | boolean;
  propertyNames?: Json;
  items?: Json;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Json[];
  oneOf?: Json[];
  allOf?: Json[];
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  default?: unknown;
};

/** What stands for personal data and secrets in the inputs; neither may show up in a log. */
export const PERSON = { local: "zebulon.quist", first: "Zebulon", last: "Quistgaard" };
export const DOMAIN = "hostile-input.example";
export const SECRET = "correct-horse-battery-sentinel";
/** What a provider would take for a key; a secret all the same. */
export const PROVIDER_KEY = "5e57ab1e-0000-4000-8000-c0ffee123456";

const schemas = new WeakMap<AnyOperation, Json>();
const schemaOf = (op: AnyOperation): Json => {
  const known = schemas.get(op) ?? (z.toJSONSchema(op.input, { io: "input", unrepresentable: "any" }) as Json);
  schemas.set(op, known);
  return known;
};

/** `ids`: a row of the caller's team by table, so that references lead somewhere. */
export function validInput(op: AnyOperation, ids: Record<string, string>, random: Random): Record<string, unknown> {
  const root = schemaOf(op);
  const resolve = (s: Json): Json => (s.$ref ? resolve(root.$defs?.[s.$ref.split("/").pop()!] ?? {}) : s);

  const text = (s: Json, name: string): string => {
    if (s.format === "uuid" || (/(^|_)ids?$/.test(name) && !s.enum)) return idFor(op, name, ids);
    if (s.format === "email" || /email|address/.test(name)) return `${PERSON.local}+${random.int(1e9)}@${DOMAIN}`;
    if (s.format === "date-time") return "2030-01-01T00:00:00Z";
    if (s.format === "date") return "2030-01-01";
    if (s.format === "uri" || s.format === "url") return "https://example.com/";
    const known: Record<string, string> = {
      provider: "postmark",
      time_zone: "Europe/Berlin",
      locale: "en-GB",
      country: "DE",
      phone: "+4930123456",
      whatsapp_number: "+4930123456",
      linkedin_url: "https://www.linkedin.com/in/zebulon",
      company_domain: "example.com",
      domain: "example.com",
      password: SECRET,
      server_token: PROVIDER_KEY,
      first_name: PERSON.first,
      last_name: PERSON.last,
      key: `k${random.int(1e6)}`,
      base_url: "https://api.example.com",
      scopes: "contacts:read",
      email: "email",
      cursor: "",
    };
    const value = known[name] ?? `${PERSON.first} ${PERSON.last} ${random.int(1e6)}`;
    return value.slice(0, s.maxLength ?? 200).padEnd(s.minLength ?? 0, "x");
  };

  const make = (given: Json, name: string, depth: number): unknown => {
    const s = resolve(given);
    if (depth > 8) return null;
    if (name === "filter") return { field: "email", op: "contains", value: "a" };
    if (name === "credentials") return { server_token: PROVIDER_KEY };
    if (name === "settings" && op.id.startsWith("connections")) return {};
    if (name === "mapping") return { Email: "email" };
    if (s.const !== undefined) return s.const;
    if (s.enum) return random.pick(s.enum);
    const variants = s.anyOf ?? s.oneOf;
    if (variants) return make(random.pick(variants), name, depth + 1);
    if (s.allOf) return Object.assign({}, ...s.allOf.map((part) => make(part, name, depth + 1)));
    const type = Array.isArray(s.type) ? s.type.find((t) => t !== "null") : s.type;
    if (type === "object" || s.properties || s.additionalProperties) {
      const out: Record<string, unknown> = {};
      for (const [key, value] of Object.entries(s.properties ?? {}))
        if (s.required?.includes(key) || random.next() < 0.6) out[key] = make(value, key, depth + 1);
      if (!s.properties && typeof s.additionalProperties === "object")
        out.field = make(s.additionalProperties, name, depth + 1);
      return out;
    }
    if (type === "array")
      return Array.from({ length: Math.max(1, s.minItems ?? 1) }, () => make(s.items ?? {}, name, depth + 1));
    if (type === "integer" || type === "number") return Math.max(s.minimum ?? 1, 1);
    if (type === "boolean") return random.next() < 0.5;
    if (type === "null") return null;
    return text(s, name);
  };
  return make(root, "", 0) as Record<string, unknown>;
}

/** The row an id means: by the segment before it in the path, or by the field's own name. */
export function idFor(op: AnyOperation, name: string, ids: Record<string, string>): string {
  const table = (word: string) => {
    const plural = word.endsWith("s") ? word : word.endsWith("y") ? `${word.slice(0, -1)}ies` : `${word}s`;
    const runs = op.path.startsWith("/research/") ? "research_runs" : "enrichment_runs";
    const named = { "api-keys": "api_keys", "custom-fields": "custom_fields", leads: "enrollments", runs };
    return (named as Record<string, string>)[word] ?? plural;
  };
  const inPath = pathParams(op.path).includes(name) ? op.path.split(`/{${name}}`)[0]!.split("/").pop()! : null;
  const found = inPath ? ids[table(inPath)] : ids[table(name.replace(/_ids?$/, ""))];
  return found ?? ids.contacts!;
}

/** Paths to every value inside an input, outermost first. */
export function places(value: unknown, at: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return at.length ? [at] : [];
  const inner = (Array.isArray(value) ? value.map((v, i) => [i, v] as const) : Object.entries(value)).flatMap(
    ([k, v]) => places(v, [...at, k]),
  );
  return at.length ? [at, ...inner] : inner;
}

/** A copy with one value replaced (or, with `undefined`, left out). */
export function withValue(input: unknown, at: readonly (string | number)[], value: unknown): unknown {
  if (at.length === 0) return value;
  const [head, ...rest] = at;
  const copy = (Array.isArray(input) ? [...input] : { ...(input as object) }) as Record<string | number, unknown>;
  if (rest.length === 0 && value === undefined) delete copy[head!];
  else copy[head!] = withValue(copy[head!], rest, value);
  return copy;
}
