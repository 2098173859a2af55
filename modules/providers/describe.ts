import { z } from "zod";

/** One input of the connection form. `secret` fields are written, never read back. */
export type FormField = {
  name: string;
  type: "string" | "integer" | "number" | "boolean";
  title: string;
  description: string | null;
  required: boolean;
  secret: boolean;
  placeholder: string | null;
  default: unknown;
  enum: string[] | null;
  format: string | null;
  pattern: string | null;
  minimum: number | null;
  maximum: number | null;
};

type Property = {
  type?: string;
  title?: string;
  description?: string;
  secret?: boolean;
  placeholder?: string;
  default?: unknown;
  enum?: string[];
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
};

const TYPES = new Set(["string", "integer", "number", "boolean"]);

/** Schemas do not change, and what a provider says is cleared of secrets for every message. */
const described = new WeakMap<z.ZodObject, readonly FormField[]>();

/** The form of a flat zod object: labels and secrecy from `.meta()`, everything else from the types themselves. */
export function describeFields(schema: z.ZodObject): readonly FormField[] {
  let fields = described.get(schema);
  if (!fields) described.set(schema, (fields = fieldsOf(schema)));
  return fields;
}

function fieldsOf(schema: z.ZodObject): FormField[] {
  // As input: a field with a default may be left empty.
  const json = z.toJSONSchema(schema, { io: "input" }) as {
    properties?: Record<string, Property>;
    required?: string[];
  };
  const required = new Set(json.required ?? []);
  return Object.entries(json.properties ?? {}).map(([name, p]) => {
    if (!p.type || !TYPES.has(p.type)) {
      throw new Error(`Field ${name} has no form: credentials and settings are flat text, number or boolean fields.`);
    }
    return {
      name,
      type: p.type as FormField["type"],
      title: p.title ?? name,
      description: p.description ?? null,
      required: required.has(name),
      secret: p.secret ?? false,
      placeholder: p.placeholder ?? null,
      default: p.default ?? null,
      enum: p.enum ?? null,
      format: p.format ?? null,
      pattern: p.pattern ?? null,
      minimum: p.minimum ?? null,
      maximum: p.maximum ?? null,
    };
  });
}
