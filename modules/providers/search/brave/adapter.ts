import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection, SearchQuery } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { failureOf, type NoAnswer, refusal } from "../../enrichment/answer.ts";
import { defineSearchProvider, hitsOf, type SearchAnswer } from "../vocabulary.ts";

const BASE = "https://api.search.brave.com/res/v1";

const Credentials = z.object({
  api_key: z.string().min(1).meta({ title: "Subscription token", secret: true, placeholder: "BSA…" }),
});
type Credentials = z.infer<typeof Credentials>;

const text = z.string().nullish();
const Results = z.array(z.object({ title: text, url: text, description: text, page_age: text }));
const Web = z.object({ web: z.object({ results: Results }).nullish() });
const News = z.object({ results: Results.nullish() });
const Refused = z.object({ error: z.object({ code: z.string() }) });

/** `pd`, `pw`, `pm`, `py`: the last day, week, month, year; else a range of days. */
function freshness(days: number): string {
  const day = (before: number) => new Date(Date.now() - before * 86_400_000).toISOString().slice(0, 10);
  const named = { 1: "pd", 7: "pw", 31: "pm", 365: "py" } as Record<number, string>;
  return named[days] ?? `${day(days)}to${day(0)}`;
}

const ask = (connection: Connection<Credentials>, http: HttpClient, query: SearchQuery): Promise<HttpResponse> => {
  const asked = new URLSearchParams({
    // The API takes 400 characters and 50 words.
    q: query.text.slice(0, 400).split(/\s+/).slice(0, 50).join(" "),
    count: String(Math.min(20, query.limit)),
    ...(query.days === undefined ? {} : { freshness: freshness(query.days) }),
    ...(query.language === undefined ? {} : { search_lang: query.language }),
  });
  const path = query.kind === "news" ? "/news/search" : "/web/search";
  return answers.caller(http, connection.base_url ?? BASE, {
    "x-subscription-token": connection.credentials.api_key,
  })("GET", `${path}?${asked}`);
};

/** A token that is not valid is a 422 like a bad parameter; the code tells them apart. */
function failure(response: HttpResponse): NoAnswer {
  const said = Refused.safeParse(answers.jsonOrNull(response));
  const badToken = response.status === 422 && said.success && said.data.error.code.startsWith("SUBSCRIPTION_TOKEN");
  const read = refusal("Brave Search", response, {
    broken: badToken ? [401, 402, 403, 422] : [401, 402, 403],
    refused: [400, 404, 422],
  });
  // `X-RateLimit-Reset: 1, 1419704`: the window of a second, then that of the month.
  const [second] = (response.headers.get("x-ratelimit-reset") ?? "").split(",");
  return read.outcome === "retry" && read.code === "rate_limited" && Number(second) > 0
    ? { ...read, after_seconds: Math.min(86_400, Number(second)) }
    : read;
}

/** Brave Search, https://api-dashboard.search.brave.com/app/documentation: an index of its own for web and news. */
export const brave = defineSearchProvider({
  id: "brave",
  label: "Brave Search",
  category: "search",
  docs_url: "https://api-dashboard.search.brave.com/app/documentation/web-search/get-started",
  setup:
    "Create a subscription of the Search plan at api-dashboard.search.brave.com and copy its token from API keys. Only successful requests are charged.",
  credentials: Credentials,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** There is no call without a price: the smallest query. */
  async check(connection, http) {
    const response = await ask(connection, http, { text: "weather", kind: "web", limit: 1 });
    if (response.status === 200) return { ok: true, detail: "Connected." };
    const read = failure(response);
    const { code, detail } = "code" in read ? read : { code: `http_${response.status}`, detail: "Not an answer." };
    return { ok: false, code, detail, suggestion: "Copy the token again from api-dashboard.search.brave.com." };
  },

  search: {
    // The Search plan allows 50; free credit of new accounts comes with fewer, so the safe pace is the lower one.
    per_second: 10,
    call_seconds: 15,
    // $5.00 for 1,000 requests (Search plan, September 2026).
    unit_micros: 5_000,
    units: 1,
    async search(query, connection, http): Promise<SearchAnswer> {
      try {
        const response = await ask(connection, http, query);
        if (response.status !== 200) return failure(response);
        const read = response.json();
        const rows =
          query.kind === "news"
            ? answers.shaped(News, read, "Brave news search").results
            : answers.shaped(Web, read, "Brave web search").web?.results;
        const found = hitsOf(
          (rows ?? []).map((r) => ({ title: r.title, url: r.url, words: r.description, at: r.page_age })),
          query.limit,
        );
        // Every answered request counts, also an empty one.
        return found.length > 0 ? { outcome: "found", found, units: 1 } : { outcome: "miss", units: 1 };
      } catch (error) {
        return failureOf(error);
      }
    },
  },
});
