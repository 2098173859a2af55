/** JSON Schemas of the catalogue as forms: what a step's kind or a sender's channel configures. */

export type FormSchema = {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  format?: string;
  widget?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  anyOf?: FormSchema[];
  properties?: Record<string, FormSchema>;
  required?: string[];
};

/** The fields of a form that a plain input can hold; the others need an editor of their own. */
export const plainFields = (schema: FormSchema | undefined): [name: string, field: FormSchema][] =>
  Object.entries(schema?.properties ?? {}).filter(([, f]) =>
    ["string", "number", "integer", "boolean"].includes(String(f.type)),
  );

/** What a new one holds: every default of the schema, and an empty text where one is required. */
export function defaultsOf(schema: FormSchema | undefined): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema?.properties ?? {})) {
    if (field.default !== undefined) values[name] = structuredClone(field.default);
    else if (field.type === "string" && schema?.required?.includes(name)) values[name] = "";
  }
  return values;
}
