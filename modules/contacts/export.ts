import { z } from "zod";
import { defineManualOperation } from "../kernel/operations/operation.ts";
import { pageOfContacts, sortParams } from "./contact-page.ts";
import { contactFilters, type ContactRow, whereContacts } from "./contact-query.ts";
import { csvResponse, type CsvCell } from "./csv.ts";
import { loadCustomFields } from "./custom-values.ts";
import { type AwkwardTags, writeTagCell } from "./tag-cell.ts";
import { loadAwkwardTags } from "./tags.ts";

/** GET /contacts/export.csv: the list, whole, as a file. The column names are the ones the import knows. */

const COLUMNS = [
  "email",
  "first_name",
  "last_name",
  "title",
  "phone",
  "whatsapp_number",
  "linkedin_url",
  "company_name",
  "company_domain",
  "status",
  "pipeline_stage",
  "deal_value",
  "warmth_score",
  "time_zone",
  "locale",
  "country",
  "tags",
  "consent_source",
  "lawful_basis",
  "last_interaction_at",
  "created_at",
] as const;

const ROWS_PER_PAGE = 1000;

export const exportContacts = defineManualOperation({
  id: "contacts.export",
  method: "GET",
  path: "/contacts/export.csv",
  summary: "Download contacts as CSV",
  description:
    "Accepts the filters and the order of GET /contacts. Custom fields are the last columns, named custom.<key>. Tags stand in one cell, separated by commas; in quotes where a tag contains a comma, a semicolon or a bar. The import reads the file back without loss, except for warmth_score, last_interaction_at and created_at, which the installation finds out itself.",
  permission: "contacts:read",
  input: z.object({ ...contactFilters, ...sortParams }),
  output: z.string(),
  mediaType: "text/csv",
  async handle(ctx, input) {
    const { keys, awkward } = await ctx.tx(async ({ db, tenantId }) => ({
      keys: [...(await loadCustomFields(db, tenantId)).keys()],
      awkward: await loadAwkwardTags(db, tenantId),
    }));
    let cursor: string | undefined;
    return await csvResponse({
      fileName: "contacts.csv",
      header: [...COLUMNS, ...keys.map((k) => `custom.${k}`)],
      async page() {
        const page = await ctx.tx(
          async (inner) =>
            await pageOfContacts(inner, await whereContacts(inner, input), { ...input, cursor, limit: ROWS_PER_PAGE }),
        );
        cursor = page.next_cursor ?? undefined;
        return { rows: page.data.map((contact) => cells(contact, keys, awkward)), last: !page.has_more };
      },
    });
  },
});

function cells(contact: ContactRow, keys: readonly string[], awkward: AwkwardTags): CsvCell[] {
  const plain: Record<string, unknown> = {
    ...contact,
    company_name: contact.company?.name ?? null,
    company_domain: contact.company?.domain ?? null,
    tags: writeTagCell(contact.tags, awkward),
  };
  return [...COLUMNS.map((name) => cell(plain[name])), ...keys.map((key) => cell(contact.custom[key]))];
}

const cell = (value: unknown): CsvCell => {
  if (value === undefined || value === null) return null;
  if (value instanceof Date) return value.toISOString();
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? value
    : JSON.stringify(value);
};
