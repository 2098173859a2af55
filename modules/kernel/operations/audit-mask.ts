/**
 * What an audit row may hold. It outlives the people it speaks of and is read by admins, so it says who did what to which
 * id, and not what the person is called, where they live or what was written to them.
 */

const SECRET = /pass(word)?|secret|token|credential|api_?key/i;
const PERSONAL =
  /^(phone|whatsapp_number|linkedin_url|(first|last|full|from)_?name|title|custom|values?|search|note|raw|subject|body\w*|html|text)$/i;
// From the beginning of a word only: tried from each of its letters, a long word takes its length squared.
const EMAIL = /(?<![\w.+-])([\w.+-])[\w.+-]*@([\w-]+(\.[\w-]+)+)/g;
/** A phone number as an address: digits with at most the usual marks between them. */
const PHONE = /^\+?[\d\s().-]{7,}$/;

const MAX_TEXT = 200;
const MAX_ITEMS = 20;

/** The detail of an audit row, every field of it as `auditable` lets it stand. */
export const auditDetail = (detail: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(detail).map(([key, value]) => [key, auditable(value, key)]));

/** One value: secrets and personal data masked, long text cut, bulk arrays counted. */
export function auditable(value: unknown, key = ""): unknown {
  if (SECRET.test(key)) return "[secret]";
  if (value === null || value === undefined || value === "") return value;
  if (PERSONAL.test(key)) return "[personal]";
  if (typeof value === "string") {
    if (key === "address" && PHONE.test(value)) return "[personal]";
    const text = value.replace(EMAIL, "$1***@$2");
    return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  }
  if (Array.isArray(value))
    return value.length > MAX_ITEMS ? `[${value.length} items]` : value.map((v) => auditable(v, key));
  if (typeof value === "object" && !(value instanceof Date))
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, auditable(v, k)]));
  return value;
}
