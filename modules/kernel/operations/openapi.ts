import { z } from "zod";
import { createDocument, type ZodOpenApiPathsObject } from "zod-openapi";
import { type AnyOperation, isRead, pathParams, replays } from "./operation.ts";

/** The OpenAPI 3.1 document, generated from the operations, so it cannot promise what no code does. */

const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string(),
    detail: z.string(),
    request_id: z.string(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
    suggestion: z.string().optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem document." });

export function openApiDocument(operations: readonly AnyOperation[], info: { title: string; version: string }) {
  const paths: ZodOpenApiPathsObject = {};
  for (const op of operations) {
    const params = pathParams(op.path);
    const shape = op.input.shape as Record<string, z.ZodType>;
    const pick = (keep: (name: string) => boolean) =>
      z.object(Object.fromEntries(Object.entries(shape).filter(([name]) => keep(name))));
    const inBody = !isRead(op) && op.method !== "DELETE" && op.body !== "binary";
    const rest = pick((name) => !params.includes(name));
    const hasRest = Object.keys(rest.shape).length > 0;
    const status = String(op.status ?? 200);
    const problem = { description: "Problem", content: { "application/problem+json": { schema: ProblemSchema } } };
    const needsAuth = op.auth !== "public";
    (paths[op.path] ??= {})[op.method.toLowerCase() as "get"] = {
      operationId: op.id,
      summary: op.summary,
      ...(op.description ? { description: op.description } : {}),
      tags: [op.id.split(".")[0]!],
      ...(needsAuth ? {} : { security: [] }),
      requestParams: {
        ...(params.length > 0 ? { path: pick((name) => params.includes(name)) } : {}),
        ...(!inBody && hasRest ? { query: rest } : {}),
        ...(replays(op)
          ? {
              header: z.object({
                "Idempotency-Key": z
                  .string()
                  .max(255)
                  .optional()
                  .describe(
                    op.transaction === "one"
                      ? "Makes a repeated request safe: the first response is returned again for 24 hours."
                      : "Makes a repeated request safe: the first response is returned again for 24 hours. 409 while the first request runs; if the first request never ends, the key can be used again after 10 minutes.",
                  ),
              }),
            }
          : {}),
      },
      ...(inBody && hasRest
        ? { requestBody: { required: true, content: { "application/json": { schema: rest } } } }
        : {}),
      ...(op.body === "binary"
        ? {
            requestBody: {
              required: true,
              content: {
                [op.mediaType ?? "application/octet-stream"]: { schema: { type: "string", format: "binary" } },
              },
            },
          }
        : {}),
      responses: {
        [status]:
          status === "204"
            ? { description: "Done" }
            : op.mediaType && op.body !== "binary"
              ? { description: op.summary, content: { [op.mediaType]: { schema: { type: "string" } } } }
              : { description: op.summary, content: { "application/json": { schema: op.output } } },
        ...(needsAuth ? { "401": problem, "403": problem } : {}),
        ...(params.length > 0 ? { "404": problem } : {}),
        "422": problem,
        "429": problem,
      },
    };
  }
  return createDocument({
    openapi: "3.1.0",
    info: {
      ...info,
      description:
        "JSON in snake_case. Lists are keyset pages: pass `next_cursor` as `cursor` until `has_more` is false. Errors are RFC 9457 problem documents. Send `Idempotency-Key` with requests that change data, where the operation accepts it.",
    },
    servers: [{ url: "/api/v1" }],
    security: [{ bearer: [] }, { apiKey: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A session's access token, or an API key (`ovk_…`)." },
        apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
      },
    },
  });
}
