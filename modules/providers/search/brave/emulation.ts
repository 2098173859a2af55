import { z } from "zod";
import { defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";
import { articlesAbout } from "../../../sandbox/news.ts";

/** Brave Search: web and news. Stricter: a parameter it does not know is refused, and so is a query that is too long. */

const fail = (status: number, code: string, detail: string) =>
  Response.json(
    { id: crypto.randomUUID(), status, error: { code, detail, status }, type: "ErrorResponse" },
    { status },
  );

const Query = z.strictObject({
  q: z
    .string()
    .min(1)
    .max(400)
    .refine((q) => q.split(/\s+/).length <= 50, "has more than 50 words"),
  count: z.coerce.number().int().min(1).max(20),
  freshness: z
    .string()
    .regex(/^(p[dwmy]|\d{4}-\d{2}-\d{2}to\d{4}-\d{2}-\d{2})$/)
    .optional(),
  search_lang: z.string().min(2).max(7).optional(),
});

const searches = (path: string, wrap: (results: unknown[]) => object) =>
  looksUp(
    route(`GET ${path}`, (call) => {
      const { q, count } = call.parse(Query, Object.fromEntries(call.query));
      call.charge(1, `search:${q}`);
      const results = articlesAbout(q).slice(0, count);
      return wrap(
        results.map((a) => ({
          type: "search_result",
          title: a.title,
          url: a.url,
          description: a.words.replace("raised", "<strong>raised</strong>"),
          page_age: a.at.slice(0, 19),
        })),
      );
    }),
  );

export const emulation = defineEmulation({
  id: "brave",
  example() {
    const api_key = `BSA${crypto.randomUUID().replaceAll("-", "").slice(0, 28)}`;
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = request.headers.get("x-subscription-token") ?? "";
      return /^BSA[0-9a-zA-Z_-]{28}$/.test(key)
        ? { key }
        : fail(422, "SUBSCRIPTION_TOKEN_INVALID", "The provided subscription token is invalid.");
    },
    refuse: {
      body: ({ detail }) => fail(422, "VALIDATION", detail),
      unknownPath: () => fail(404, "NOT_FOUND", "There is no such endpoint."),
      rateLimit(after) {
        const response = fail(429, "RATE_LIMITED", "Request rate limit exceeded for plan.");
        response.headers.set("x-ratelimit-reset", `${after}, 1419704`);
        return response;
      },
      serverError: () => fail(500, "INTERNAL", "Something went wrong."),
    },
    routes: [
      searches("/web/search", (results) => ({ type: "search", web: { type: "search", results } })),
      searches("/news/search", (results) => ({ type: "news", results })),
    ],
  },
});
