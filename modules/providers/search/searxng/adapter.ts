import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection, SearchQuery } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { failureOf, type NoAnswer, refusal } from "../../enrichment/answer.ts";
import { defineSearchProvider, hitsOf, type SearchAnswer } from "../vocabulary.ts";

const Credentials = z.object({
  access_token: z.string().min(1).optional().meta({
    title: "Access token",
    secret: true,
    description: "Sent as Authorization: Bearer. Only where a proxy before SearXNG asks for one.",
  }),
});
type Credentials = z.infer<typeof Credentials>;

const text = z.string().nullish();
const Answer = z.object({
  results: z.array(z.object({ title: text, url: text, content: text, publishedDate: text })),
});

/** SearXNG knows three spans. */
const span = (days: number): string => (days <= 1 ? "day" : days <= 31 ? "month" : "year");

function ask(connection: Connection<Credentials>, http: HttpClient, query: SearchQuery): Promise<HttpResponse> {
  const token = connection.credentials.access_token;
  const asked = new URLSearchParams({
    q: query.text,
    format: "json",
    categories: query.kind === "news" ? "news" : "general",
    ...(query.days === undefined ? {} : { time_range: span(query.days) }),
    ...(query.language === undefined ? {} : { language: query.language }),
  });
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  return answers.caller(http, connection.base_url!, headers)("GET", `/search?${asked}`);
}

/** 403 also means that the instance does not give JSON. */
const failure = (response: HttpResponse): NoAnswer =>
  refusal("SearXNG", response, { broken: [401, 403, 404], refused: [400] });

const NO_URL = {
  code: "no_base_url",
  detail: "The base URL of your SearXNG is missing.",
} as const;

/** SearXNG, https://docs.searxng.org/dev/search_api.html: a search engine over others that a team hosts itself, without a price per query. */
export const searxng = defineSearchProvider({
  id: "searxng",
  label: "SearXNG",
  category: "search",
  docs_url: "https://docs.searxng.org/dev/search_api.html",
  setup:
    "Enter the base URL of your own SearXNG. Its settings.yml must list json under search.formats; public instances usually refuse it.",
  credentials: Credentials,
  default_base_url: null,
  runs_in: "anywhere",

  async check(connection, http) {
    if (!connection.base_url) return { ok: false, ...NO_URL, suggestion: "Enter it as the connection's base URL." };
    const response = await ask(connection, http, { text: "weather", kind: "web", limit: 1 });
    if (response.status === 200 && Answer.safeParse(answers.jsonOrNull(response)).success)
      return { ok: true, detail: "Connected." };
    const read = response.status === 200 ? null : failure(response);
    return {
      ok: false,
      code: read && "code" in read ? read.code : "bad_answer",
      detail: read && "detail" in read ? read.detail : "The answer is no search result as JSON.",
      suggestion: "Add json to search.formats in SearXNG's settings.yml, and check the access token.",
    };
  },

  search: {
    // The team's own server; the engines behind it block who asks too fast.
    per_second: 1,
    call_seconds: 15,
    unit_micros: 0,
    units: 0,
    async search(query, connection, http): Promise<SearchAnswer> {
      if (!connection.base_url) return { outcome: "broken", ...NO_URL };
      try {
        const response = await ask(connection, http, query);
        if (response.status !== 200) return failure(response);
        const { results } = answers.shaped(Answer, response.json(), "SearXNG search");
        const found = hitsOf(
          results.map((r) => ({ title: r.title, url: r.url, words: r.content, at: r.publishedDate })),
          query.limit,
        );
        return found.length > 0 ? { outcome: "found", found, units: 0 } : { outcome: "miss", units: 0 };
      } catch (error) {
        return failureOf(error);
      }
    },
  },
});
