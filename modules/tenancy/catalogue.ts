import { z } from "zod";
import { CatalogueEntry, ConsolePage } from "../kernel/catalogue.ts";
import { type Offered, ROLES } from "../kernel/context.ts";
import { defineOpenOperation } from "../kernel/operations/operation.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";

const Answer = z.object({
  pages: z.array(ConsolePage).describe("Pages of the console, in order. Pages of disabled modules are left out."),
  lists: z
    .record(z.string(), z.array(CatalogueEntry))
    .describe("Choices by name, e.g. `campaign.status`. Lists of disabled modules are missing."),
  forms: z
    .record(z.string(), z.record(z.string(), z.unknown()))
    .describe(
      "JSON Schemas of configurable objects: `step.<kind>` for a step, `sender.<channel>` for a sender's profile, `options.<channel>` for a campaign's settings.",
    ),
  permissions: z
    .array(z.object({ permission: z.string(), role: z.enum(ROLES) }))
    .describe("Every permission with the lowest role that has it."),
});

// It depends on nothing but which modules are on, so one body serves until the process ends.
const bodies = new WeakMap<Offered, Promise<{ body: string; etag: string }>>();

async function render({
  pages,
  catalogue,
  permissions,
  steps,
  channels,
}: Offered): Promise<{ body: string; etag: string }> {
  const answer = Answer.parse({
    pages,
    lists: catalogue,
    forms: Object.fromEntries([
      ...[...steps.values()].map((s) => [`step.${s.kind}`, formOf(s.config)]),
      ...[...channels.values()].map((c) => [`sender.${c.id}`, formOf(c.sender.profile)]),
      ...[...channels.values()].map((c) => [`options.${c.id}`, formOf(c.options)]),
    ]),
    permissions: [...permissions].map(([permission, role]) => ({ permission, role })),
  });
  const body = JSON.stringify(answer);
  return { body, etag: `"${(await sha256Hex(body)).slice(0, 32)}"` };
}

/** What may be sent, as JSON Schema; what JSON Schema cannot say is left open. */
const formOf = (schema: z.ZodObject) =>
  z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Record<string, unknown>;

/** Whether an If-None-Match header names this tag. Proxies that compress make a tag weak; its text stays the same. */
const names = (header: string | null, etag: string): boolean =>
  (header ?? "").split(",").some((given) => given.trim() === "*" || given.trim().replace(/^W\//, "") === etag);

export const readCatalogue = defineOpenOperation({
  id: "catalogue.get",
  method: "GET",
  path: "/catalogue",
  summary: "Choices of this installation with their labels",
  description:
    "Statuses, filter fields and operators, merge variables, step kinds, channels, roles and permissions, and the console's pages. The response has an ETag: send it as `If-None-Match` to get 304 while nothing has changed.",
  auth: "public",
  input: z.object({}),
  output: Answer,
  async handle(ctx, _input, request) {
    let rendered = bodies.get(ctx.registry);
    if (!rendered) bodies.set(ctx.registry, (rendered = render(ctx.registry)));
    const { body, etag } = await rendered;
    // Kept by browsers, asked about each time: a deployment that switches a module off shows at once.
    const headers = { etag, "cache-control": "public, no-cache" };
    if (names(request.headers.get("if-none-match"), etag)) return new Response(null, { status: 304, headers });
    return new Response(body, { headers: { ...headers, "content-type": "application/json" } });
  },
});
