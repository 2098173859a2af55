import { hostile, of, type Mutation } from "./mutation.ts";

/** What reads cursors, times and the texts of users and strangers. */

const CURSOR = "at %s is 422 that names it, or a place in the list";
const FILTER = "is 422 that names its place, at every route that takes one";
const KEPT = "is kept as plain text, and nothing that was written is lost";
const SLOW = "does not hold the process with %s, and four times as much costs about four times";

export const texts: readonly Mutation[] = of("hostile input", [
  {
    promise: "A cursor's times exist",
    file: "modules/kernel/operations/cursor.ts",
    find: "\n  .refine(isRealTime);",
    replace: ";",
    test: hostile("values"),
    name: CURSOR,
  },
  {
    promise: "… and its texts can be stored",
    file: "modules/kernel/operations/cursor.ts",
    find: " || unstorable(value) !== null",
    replace: "",
    test: hostile("values"),
    name: CURSOR,
  },
  {
    promise: "A time as an input exists, for Postgres and the runtime",
    file: "modules/kernel/operations/time.ts",
    find: '  .refine(isRealTime, "must be a time that exists, within the years 0001 to 9999 and with an offset below 16 hours");',
    replace: ";",
    test: hostile("values"),
    name: "a date that does not exist, or that is read in two ways, is 422 that names the field",
  },
  {
    promise: "A filter's times do",
    file: "modules/contacts/filter.ts",
    find: 'return typeof value === "string" && isRealTime(value)',
    replace: 'return typeof value === "string" && value !== ""',
    test: hostile("values"),
    name: FILTER,
  },
  {
    promise: "… and JSON in a parameter holds no text that is not storable",
    file: "modules/contacts/contact-query.ts",
    find: '  requireStorable(filter, "/filter");\n',
    replace: "",
    test: hostile("values"),
    name: FILTER,
  },
  {
    promise: "A date of a provider that no column holds is none",
    file: "modules/providers/answers.ts",
    find: "return isRealTime(iso) ? iso : null;",
    replace: 'return iso === "" ? null : iso;',
    test: hostile("parsers"),
    name: "a date that Postgres does not hold is none",
  },
  {
    promise: "No quotes, lists or tables of an author hold the process",
    file: "modules/channels/email/markdown.ts",
    find: "  if (blocks) return refuse(blocks);\n",
    replace: "",
    test: hostile("parsers"),
    name: SLOW,
  },
  {
    promise: "No HTML of a stranger does",
    file: "modules/providers/email/html-text.ts",
    find: "isOrdinary(html) ? convert(html) : withoutTags(html)",
    replace: "convert(html)",
    test: hostile("parsers"),
    name: KEPT,
  },
  {
    promise: "… and what is beyond the bounds is kept as plain text",
    file: "modules/providers/email/html-text.ts",
    find: "isOrdinary(html) ? convert(html) : withoutTags(html)",
    replace: 'isOrdinary(html) ? convert(html) : ""',
    test: hostile("parsers"),
    name: KEPT,
  },
  {
    promise: "No reply of a stranger holds the process",
    file: "modules/channels/email/visible-reply.ts",
    find: "const LINE_MAX = 400;",
    replace: "const LINE_MAX = Infinity;",
    test: hostile("parsers"),
    name: SLOW,
  },
  {
    promise: "… no number of a contact or a file",
    file: "modules/contacts/normalize.ts",
    find: "  if (text.length > MAX_NUMBER) return null;\n",
    replace: "",
    test: hostile("parsers"),
    name: SLOW,
  },
  {
    promise: "… and no text that is masked for the log",
    file: "modules/kernel/observability/log.ts",
    find: "  if (text.length <= MAX_TEXT) return text;\n",
    replace: "  return text;\n",
    test: hostile("parsers"),
    name: SLOW,
  },
  {
    promise: "… or for the audit log",
    file: "modules/kernel/operations/audit-mask.ts",
    find: "(?<![\\w.+-])([\\w.+-])",
    replace: "([\\w.+-])",
    test: hostile("parsers"),
    name: SLOW,
  },
]);
