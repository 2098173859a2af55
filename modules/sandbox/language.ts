import { createHash } from "node:crypto";

/**
 * The emulated language model: a text that is a function of the request, so that a run can be repeated. It writes from the lines
 * `[id] statement` of the prompt, and JSON by the schema it is given. Parts of the model's name make it misbehave: `hallucinate` adds
 * claims that nobody gave it, `rulebreak` breaks the usual rules of writing, `badjson` answers with other JSON until it is asked again
 * (`badjson-always`: for ever), `decline` does not want to answer.
 */

export type Asked = {
  model: string;
  system: string;
  turns: readonly { role: string; text: string }[];
  schema?: Schema | undefined;
};
type Schema = Record<string, unknown>;
type Fact = { id: string; text: string };

/** As vendors count, roughly: four characters. */
export const tokensOf = (text: string): number => Math.ceil(text.length / 4);

/** What the request counts: the texts, and some for each turn. */
export const inputTokens = ({ system, turns, schema }: Asked): number =>
  tokensOf(system) +
  turns.reduce((n, t) => n + tokensOf(t.text) + 4, 0) +
  (schema ? tokensOf(JSON.stringify(schema)) : 0);

const digest = (text: string) => createHash("sha256").update(text).digest();

export const declines = (asked: Asked): boolean => asked.model.includes("decline");

export function answerOf(asked: Asked): string {
  const { model, schema, turns } = asked;
  if (declines(asked)) return "I cannot help with that.";
  const prompt = turns.map((t) => t.text).join("\n");
  const facts = factsIn(prompt);
  if (!schema) return facts.length > 0 || /e-?mail|message/i.test(prompt) ? letter(asked, facts) : reply(prompt);
  const again = turns.some((t) => t.role === "assistant");
  if (model.includes("badjson") && (!again || model.includes("always"))) return JSON.stringify({ unexpected: true });
  return JSON.stringify(valueOf(schema, { asked, facts, root: schema, name: "", fact: null, depth: 0 }));
}

const reply = (prompt: string) =>
  `You wrote ${prompt.split(/\s+/).filter(Boolean).length} words: “${prompt.trim().slice(0, 120)}”. This answer comes from the sandbox.`;

/** Lines such as `[f1] Acme hired 12 engineers in May.` */
const factsIn = (prompt: string): Fact[] =>
  [...prompt.matchAll(/^\s*(?:[-*]\s*)?\[([\w:.-]{1,60})\]\s+(.+)$/gm)].map((m) => ({ id: m[1]!, text: m[2]!.trim() }));

const USED = 2;
const NEUTRAL = [
  "I thought of you and your team when I read this.",
  "Perhaps this is a topic that you look after.",
  "We help teams like yours with their first message to a new contact, and with everything that follows it.",
  "The work starts small, with one list and one sequence, and people stay in charge of what is sent.",
  "If somebody else looks after this, a name would help me as well.",
  "I do not know your plans, so tell me if this is the wrong moment.",
  "There is nothing to prepare, and a short conversation is enough to see whether it fits.",
  "I am happy to show how this looks with your own words.",
];

/** 100 to 150 words with two of the facts as they were given, and one question at the end. */
function letter(asked: Asked, facts: readonly Fact[]): string {
  const prompt = asked.turns.map((t) => t.text).join("\n");
  const name = /^\s*[-*]?\s*(?:first_name|first name|name)\s*[:=]\s*([^\n]+)$/im.exec(prompt)?.[1]?.trim();
  const told = facts.slice(0, USED).map((f) => (/[.!?]$/.test(f.text) ? f.text : `${f.text}.`));
  const ask = "Would a call of fifteen minutes next week suit you?";
  const words = (parts: readonly string[]) => parts.join(" ").split(/\s+/).length;
  const middle: string[] = [];
  const from = digest(prompt)[0]! % NEUTRAL.length;
  for (let i = 0; i < NEUTRAL.length && words([...told, ...middle, ask]) < 98; i++)
    middle.push(NEUTRAL[(from + i) % NEUTRAL.length]!);
  if (asked.model.includes("hallucinate"))
    told.push("Your revenue grew by 43% last year, and you moved all of your data to Snowflake in March 2024.");
  const end = asked.model.includes("rulebreak")
    ? `${ask} Or buy now at https://example.com! Act now: 100% FREE, guaranteed, risk-free!!! Click here, {{first_name}}! ${NEUTRAL.join(" ")}`
    : ask;
  return [`Hello${name ? ` ${name}` : ""},`, told.join(" "), middle.join(" "), end].filter(Boolean).join("\n\n");
}

type At = { asked: Asked; facts: readonly Fact[]; root: Schema; name: string; fact: Fact | null; depth: number };

/** A value that keeps the schema; what the descriptions say of limits counts as well. */
function valueOf(schema: Schema, at: At): unknown {
  if (at.depth > 12) return null;
  const down = { ...at, depth: at.depth + 1 };
  if (typeof schema.$ref === "string") return valueOf(resolve(schema.$ref, at.root), down);
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[chance(at) % schema.enum.length];
  const ways = (schema.anyOf ?? schema.oneOf) as Schema[] | undefined;
  if (ways) return valueOf(ways.find((w) => w.type !== "null") ?? ways[0]!, down);
  const types = Array.isArray(schema.type) ? (schema.type as string[]) : [schema.type as string];
  const limits = limitsOf(schema);
  switch (types.find((t) => t !== "null") ?? (schema.properties ? "object" : "null")) {
    case "object":
      return Object.fromEntries(
        Object.entries((schema.properties ?? {}) as Record<string, Schema>).map(([name, sub]) => [
          name,
          valueOf(sub, { ...down, name }),
        ]),
      );
    case "array": {
      const most = limits.maxItems ?? Number.POSITIVE_INFINITY;
      const about = at.facts.slice(0, Math.min(USED, most));
      const few = Math.min(most, Math.max(limits.minItems ?? 0, about.length, 1));
      return Array.from({ length: few }, (_, i) =>
        valueOf((schema.items ?? {}) as Schema, { ...down, fact: about[i] ?? null }),
      );
    }
    case "integer":
    case "number": {
      const low = limits.minimum ?? limits.exclusiveMinimum ?? 0;
      const high = limits.maximum ?? limits.exclusiveMaximum ?? low + 10;
      const value = low + (high - low) * (0.5 + (chance(at) % 100) / 250);
      return types.includes("integer") ? Math.round(value) : Math.round(value * 100) / 100;
    }
    case "boolean":
      return chance(at) % 2 === 0;
    case "string":
      return textOf(limits, at);
    default:
      return null;
  }
}

const resolve = (ref: string, root: Schema): Schema =>
  ref
    .split("/")
    .slice(1)
    .reduce<unknown>((node, key) => (node as Schema)[key], root) as Schema;

const chance = ({ asked, name }: At): number =>
  digest(`${name}|${asked.system}|${JSON.stringify(asked.turns)}`).readUInt32BE(0);

type Limits = Partial<Record<string, number>> & { format?: string };

function limitsOf(schema: Schema): Limits {
  const out: Record<string, unknown> = {};
  for (const [, key, value] of String(schema.description ?? "").matchAll(/(\w+): (-?[\d.]+|[a-z-]+)[,)]/g))
    out[key!] = key === "format" ? value : Number(value);
  for (const [key, value] of Object.entries(schema))
    if (typeof value === "number" || key === "format") out[key] = value;
  return out as Limits;
}

const FORMATS: Readonly<Record<string, string>> = {
  email: "someone@example.com",
  uri: "https://example.com/",
  date: "2026-01-01",
  "date-time": "2026-01-01T00:00:00.000Z",
  uuid: "00000000-0000-4000-8000-000000000000",
};

function textOf(limits: Limits, at: At): string {
  const { name, fact, facts, asked } = at;
  let text: string;
  if (limits.format && FORMATS[limits.format]) return FORMATS[limits.format]!;
  if (/^(body|text|draft|message|email|letter|content)$/i.test(name) && !fact) text = letter(asked, facts);
  else if (/subject|title/i.test(name)) text = "A question about your plans";
  else if (/(^|_)ids?$|finding|source|citation|fact/i.test(name) || (fact && name === ""))
    text = fact?.id ?? facts[0]?.id ?? "none";
  else if (fact) text = fact.text;
  else text = facts[0]?.text ?? "Nothing is known of this.";
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = limits;
  while (text.length < minLength) text += ` ${NEUTRAL[text.length % NEUTRAL.length]}`;
  return Number.isFinite(maxLength) ? text.slice(0, maxLength) : text;
}

/** Cuts an answer that is longer than the request allows, as vendors do. */
export function within(text: string, tokens: number): { text: string; cut: boolean } {
  return tokensOf(text) > tokens ? { text: text.slice(0, tokens * 4), cut: true } : { text, cut: false };
}

/** The shortest prefix that vendors keep, in tokens, and the steps in which OpenAI does. */
export const MIN_PREFIX = 1024;
const STEP = 128;
/** Prefixes that are remembered for an account. */
const KEPT = 2000;

/** How many tokens of the text this account has sent before as a beginning, in whole steps; remembers what it has now. */
export function seenPrefix(state: Record<string, unknown>, text: string): number {
  const known = new Set((state.prefixes ?? []) as string[]);
  let seen = 0;
  const now: string[] = [];
  for (let n = MIN_PREFIX; n <= tokensOf(text) && now.length < 64; n += STEP) {
    const key = digest(text.slice(0, n * 4))
      .toString("base64url")
      .slice(0, 16);
    if (known.has(key)) seen = n;
    now.push(key);
  }
  state.prefixes = [...new Set([...known, ...now])].slice(-KEPT);
  return seen;
}
