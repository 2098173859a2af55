import { z } from "zod";
import { defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";
import { articlesAbout } from "../../../sandbox/news.ts";

/** SearXNG behind a proxy that asks for a token. Other formats than JSON are refused, as an instance does that does not list them. */

const refused = (status: number, words: string) => new Response(words, { status });

const Query = z.strictObject({
  q: z.string().min(1),
  format: z.literal("json"),
  categories: z.enum(["general", "news"]),
  time_range: z.enum(["day", "month", "year"]).optional(),
  language: z.string().min(2).optional(),
});

export const emulation = defineEmulation({
  id: "searxng",
  example() {
    const access_token = `sx-${crypto.randomUUID()}`;
    return { credentials: { access_token }, key: access_token };
  },
  http: {
    content: "json",
    auth(request) {
      const key = /^Bearer (sx-[0-9a-f-]{36})$/.exec(request.headers.get("authorization") ?? "")?.[1];
      return key ? { key } : refused(401, "Unauthorized");
    },
    refuse: {
      body: ({ detail }) => refused(400, detail),
      unknownPath: () => refused(404, "Not Found"),
      rateLimit: (after) =>
        new Response("Too Many Requests", { status: 429, headers: { "retry-after": String(after) } }),
      serverError: () => refused(500, "Internal Server Error"),
    },
    routes: [
      looksUp(
        route("GET /search", (call) => {
          const { q } = call.parse(Query, Object.fromEntries(call.query));
          call.charge(0, `search:${q}`);
          const results = articlesAbout(q).map((a) => ({
            url: a.url,
            title: a.title,
            content: a.words,
            publishedDate: a.at,
            engine: "example",
            score: 1,
          }));
          return { query: q, number_of_results: results.length, results, answers: [], unresponsive_engines: [] };
        }),
      ),
    ],
  },
});
