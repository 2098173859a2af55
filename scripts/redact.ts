/**
 * Takes secrets and personal values out of what a provider answered. It keeps the shape and what is surely the API's own vocabulary;
 * everything else becomes a placeholder of the same form, whether it looks harmless or not.
 */

export type Redaction = {
  /** A JSON value with every text, number and odd field name replaced; in an error's answer more fields are vocabulary. */
  body(value: unknown, failed: boolean): unknown;
  /** Path and query of a request. */
  path(url: URL): string;
  /** Headers that say how to read and when to come again; no others. */
  headers(headers: Headers): Record<string, string>;
  /** A sentence for the terminal; another one where it holds one of the known values. */
  sentence(text: string): string;
  /** Throws when one of the known values, or an address that is no placeholder, stands in the text. */
  assertClean(text: string): void;
};

/** Fields that hold words of the API, where the value is a word or a number too. */
const VOCABULARY = /^(error_?)?(code|type|status|state)$|^(status_?code|object|kind|event|direction|currency)$/i;
/** Fields of an error that hold its code, such as `validation_error`; a person's name looks otherwise. */
const ERROR_FIELD = /^(name|error|reason)$/i;
const ERROR_CODE = /^[a-z]+([_.-][a-z]+)+$/;
const WORD = /^[A-Za-z][A-Za-z_.-]{0,60}$/;
/** A name that a documentation could have; one with more digits is rather somebody's id. */
const FIELD = /^[A-Za-z_$][A-Za-z_$-]{0,60}\d?[A-Za-z_$-]{0,40}$/;
const HEADER = /^(content-type|retry-after|(x-)?rate-?limit-[\w-]+)$/;
const EMAIL = /[^\s<>"@\\]+@[\w-]+(\.[\w-]+)+/;

/** `known`: the secrets and addresses of this recording. Short ones are left out: they would be found in every word. */
export function createRedaction(known: readonly string[]): Redaction {
  const secrets = encodings(known.filter((value) => value.length >= 4));
  const holdsSecret = (text: string) => {
    const lower = text.toLowerCase();
    return secrets.some((secret) => lower.includes(secret));
  };
  const isKept = (name: string, value: string, failed: boolean) =>
    !holdsSecret(value) &&
    ((VOCABULARY.test(name) && (WORD.test(value) || /^\d{1,6}$/.test(value))) ||
      (failed && ERROR_FIELD.test(name) && ERROR_CODE.test(value)));

  const body = (value: unknown, failed: boolean, name = ""): unknown => {
    if (value === null || typeof value === "boolean") return value;
    if (Array.isArray(value)) return value.map((item) => body(item, failed, name));
    if (typeof value === "object")
      return Object.fromEntries(
        Object.entries(value as object).map(([key, inner], index) => [
          FIELD.test(key) && !holdsSecret(key) ? key : `field_${index + 1}`,
          body(inner, failed, key),
        ]),
      );
    if (isKept(name, String(value), failed)) return value;
    return typeof value === "number" ? Math.sign(value) : masked(String(value));
  };

  return {
    body: (value, failed) => body(value, failed),
    path(url) {
      const segments = url.pathname
        .split("/")
        .map((part) => (PLAIN.test(part) && !holdsSecret(part) ? part : masked(part)));
      const query = [...url.searchParams].map(([name, value], index) => {
        const shown = FIELD.test(name) && !holdsSecret(name) ? name : `field_${index + 1}`;
        return `${shown}=${/^\d{1,3}$/.test(value) ? value : masked(value)}`;
      });
      return segments.join("/") + (query.length > 0 ? `?${query.join("&")}` : "");
    },
    headers: (headers) =>
      Object.fromEntries(
        [...headers].filter(
          ([name, value]) => HEADER.test(name) && /^[\w ;:=.,/+-]{1,100}$/.test(value) && !holdsSecret(value),
        ),
      ),
    sentence: (text) => (holdsSecret(text) ? "It failed with a message that holds a secret and is not shown." : text),
    assertClean(text) {
      if (holdsSecret(text)) throw new Error("A secret or an address is left in the recording; nothing was written.");
      if (EMAIL.test(text.replaceAll(PERSON, "")))
        throw new Error("An e-mail address is left in the recording; nothing was written.");
    },
  };
}

/** A part of a path that an API's documentation could name: a word, a version. */
const PLAIN = /^$|^[A-Za-z][A-Za-z_-]{0,40}(\.json|\.xml)?$|^v?\d{1,2}(\.\d)?$|^\d{4}-\d\d-\d\d$/;
const PERSON = "person@example.com";

/** Another text of the same form: an address stays an address, a moment a moment, a letter a letter, a digit a digit. */
function masked(text: string): string {
  if (/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text)) return PERSON;
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return "00000000-0000-4000-8000-000000000000";
  if (/^https?:\/\//i.test(text)) return "https://example.com/";
  if (/^\+\d{7,15}$/.test(text)) return "+12025550100";
  if (/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?([.,]\d+)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text))
    return text
      .replace(/^[\d-]{10}/, "2026-01-01")
      .replace(/\d\d:\d\d.*$/, (time) => time.replace(/[+-]\d\d:?\d\d$/, "Z").replace(/\d/g, "0"));
  return text
    .slice(0, 200)
    .replace(/[^\x20-\x40\x5b-\x60\x7b-\x7e\n]|\p{N}/gu, (letter) =>
      /\p{N}/u.test(letter) ? "0" : /\p{Lu}/u.test(letter) ? "X" : "x",
    );
}

/** Each value as it may stand in an answer, in lower case: plain, in JSON, in a URL, in base64, and in pairs as Basic authentication has it. */
function encodings(values: readonly string[]): string[] {
  const pairs = values.flatMap((a) => values.map((b) => `${a}:${b}`));
  const base64 = [...values, ...pairs, ...values.flatMap((v) => [`${v}:`, `:${v}`])].flatMap((value) => {
    const bytes = Buffer.from(value);
    return [bytes.toString("base64").replace(/=+$/, ""), bytes.toString("base64url")];
  });
  const written = values.flatMap((v) => [v, JSON.stringify(v).slice(1, -1), encodeURIComponent(v)]);
  return [...new Set([...written, ...base64].map((text) => text.toLowerCase()))];
}
