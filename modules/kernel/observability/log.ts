/** Structured logs: one JSON object a line. Secrets and personal data are masked before anything is written. */

const LEVELS = { debug: 10, info: 20, warn: 30, error: 40, silent: 100 } as const;
type LogLevel = keyof typeof LEVELS;

export type Log = {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
  /** A log that adds these fields to every line. */
  with(fields: Record<string, unknown>): Log;
};

const SECRET_KEY =
  /pass(word)?|secret|token|authorization|api_?key|credential|cookie|signature|private|cipher|^keys?$/i;
const PERSONAL_KEY =
  /^(e_?mail|to|from|recipient|phone|first_?name|last_?name|full_?name|name|subject|text|html|body)$/i;
const SECRET_VALUE = /\b(sb_(secret|publishable)_\w+|whsec_\S+|re_\w{8,}|ovk_\w+|eyJ[\w-]{10,}\.[\w-]+\.[\w-]+)/g;
// From the beginning of a word only: tried from each of its letters, a long word takes its length squared.
const EMAIL_VALUE = /(?<![\w.+-])([\w.+-])[\w.+-]*@([\w-]+(\.[\w-]+)+)/g;
const URL_CREDENTIALS = /(?<!\w)(\w+:\/\/)[^\s/@:]+:[^\s/@]+@/g;
/** Characters of one text in a line. */
const MAX_TEXT = 20_000;

/** A long text is cut between words: of a secret or an address no part may stay that is not known for one. */
function beginning(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  const cut = text.slice(0, MAX_TEXT);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), cut.lastIndexOf("\n"), 0))}… (${text.length} characters)`;
}

/** Masks values by the name of their key and by their look, at any depth. Pure, so that a test can prove it. */
export function redact(value: unknown, key = "", depth = 0): unknown {
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return value.toString();
  if (key && SECRET_KEY.test(key)) return "[secret]";
  if (typeof value === "string") {
    if (key && PERSONAL_KEY.test(key)) return value === "" ? "" : "[personal]";
    return beginning(value)
      .replace(URL_CREDENTIALS, "$1[secret]@")
      .replace(SECRET_VALUE, "[secret]")
      .replace(EMAIL_VALUE, "$1***@$2");
  }
  if (value instanceof Error) {
    const { code } = value as { code?: unknown };
    return redact(
      { error: value.name, message: value.message, code, stack: value.stack, cause: value.cause },
      "",
      depth,
    );
  }
  if (value instanceof Date) return value.toISOString();
  if (depth > 6) return "[deep]";
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, 50).map((item) => redact(item, key, depth + 1));
  return Object.fromEntries(Object.entries(value as object).map(([k, v]) => [k, redact(v, k, depth + 1)]));
}

/** A full disk takes no lines, and Deno throws then. Who logs an error must not fail of it. */
function writeLine(line: string): void {
  try {
    console.error(line);
  } catch {
    // Nowhere left to say so.
  }
}

export function createLog(
  level: LogLevel,
  write: (line: string) => void = writeLine,
  base: Record<string, unknown> = {},
): Log {
  const at =
    (name: Exclude<LogLevel, "silent">) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      if (LEVELS[name] < LEVELS[level]) return;
      write(
        JSON.stringify({
          time: new Date().toISOString(),
          level: name,
          msg: redact(message),
          ...(redact({ ...base, ...fields }) as object),
        }),
      );
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => createLog(level, write, { ...base, ...fields }),
  };
}
