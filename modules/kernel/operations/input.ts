import type { Context as HonoContext } from "hono";
import type { z } from "zod";
import { readBody } from "../http/body.ts";
import { AppError, type FieldError, MAX_ERRORS } from "../errors.ts";
import { segment, unstorable } from "../text.ts";
import { type AnyOperation, pathParams } from "./operation.ts";

/** From a request to an operation's input: bounded reading, strict JSON, one object of path, query and body, parsed. */

/** JSON bodies above this are refused before parsing. */
const MAX_JSON_BYTES = 2 * 1024 * 1024;
const MAX_DEPTH = 32;

/** Path, query and JSON body (which may take `timeoutMs` to arrive) as one object. */
export async function readInput(op: AnyOperation, c: HonoContext, timeoutMs: number): Promise<Record<string, unknown>> {
  // Without a prototype: a body's `__proto__` is then a key like any other.
  const raw = Object.create(null) as Record<string, unknown>;
  for (const [name, values] of Object.entries(c.req.queries())) raw[name] = values.length > 1 ? values : values[0];
  const takesBody = op.method !== "GET" && op.body !== "binary";
  const bodyText = takesBody ? await readText(c.req.raw, timeoutMs) : "";
  const body = bodyText === "" ? {} : parseJson(bodyText, c.req.header("content-type"));
  Object.assign(raw, body);
  // The path wins: a body cannot redirect an operation to another row.
  for (const name of pathParams(op.path)) raw[name] = c.req.param(name);
  requireStorable(raw);
  requireKnown(body, op);
  return raw;
}

/** Refuses fields that the operation does not have: a misspelled one would be dropped in silence, and with it what was meant by it. */
function requireKnown(body: Record<string, unknown>, op: AnyOperation): void {
  const known = Object.keys(op.input.shape);
  const unknown = Object.keys(body).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const errors = unknown.slice(0, MAX_ERRORS).map((name) => ({
    pointer: short(`/${segment(name)}`),
    detail: "is not a field of this request",
  }));
  const fields = known.filter((name) => !pathParams(op.path).includes(name));
  throw new AppError("invalid", `${errors[0]!.pointer.slice(1)}: ${errors[0]!.detail}`, {
    errors,
    suggestion: fields.length > 0 ? `The fields are: ${fields.join(", ")}.` : "This request takes no body.",
  });
}

async function readText(request: Request, timeoutMs: number): Promise<string> {
  const bytes = await readBody(request, { maxBytes: MAX_JSON_BYTES, idleMs: timeoutMs, totalMs: timeoutMs });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AppError("bad_request", "The body is not valid UTF-8.", { cause });
  }
}

function parseJson(text: string, contentType: string | undefined): Record<string, unknown> {
  if (contentType && !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType)) {
    throw new AppError("unsupported_media_type", "The body must be application/json.");
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AppError("bad_request", `The body is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AppError("bad_request", "The body must be a JSON object.");
  return value as Record<string, unknown>;
}

/**
 * Refuses JSON that is nested too deep or has text Postgres cannot store (U+0000, halves of surrogate pairs), naming the field. Also
 * for JSON within a parameter, whose escapes nobody has looked at: `at` is then the parameter's pointer.
 */
export function requireStorable(value: unknown, at = ""): void {
  const fault = unstorable(value, MAX_DEPTH);
  if (!fault) return;
  if (fault.deep) throw new AppError("bad_request", `${at ? at.slice(1) : "The body"} ${fault.detail}`);
  const pointer = short(at + (at && fault.pointer === "/" ? "" : fault.pointer));
  throw new AppError("invalid", fault.detail, { errors: [{ pointer, detail: fault.detail }] });
}

const short = (text: string): string => (text.length > 500 ? `${text.slice(0, 500)}…` : text);

/** The parsed input, or a 422 that names every bad field by its JSON pointer. */
export function parseInput<I extends z.ZodObject>(op: { input: I }, raw: unknown): z.output<I> {
  const parsed = op.input.safeParse(raw);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const errors: FieldError[] = issues.slice(0, MAX_ERRORS).map((i) => ({
    pointer: short(`/${i.path.map(segment).join("/")}`),
    detail: short(i.message),
  }));
  const first = errors[0]!;
  throw new AppError(
    "invalid",
    issues.length === 1
      ? `${first.pointer.slice(1) || "input"}: ${first.detail}`
      : `${issues.length} fields are not valid.`,
    { errors },
  );
}
