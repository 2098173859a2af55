import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { lookupCall, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider } from "../vocabulary.ts";

const BASE = "https://api.wappalyzer.com/v2";

const Credentials = z.object({ api_key: z.string().min(1).meta({ title: "API key", secret: true }) });
type Credentials = z.infer<typeof Credentials>;

/** An item is one of three: looked up, still being looked at (`crawl`), or failed by itself (`errors`). */
const Item = z.object({
  url: z.string(),
  technologies: z.array(z.object({ name: z.string(), confirmedAt: z.number().nullish() })).nullish(),
  crawl: z.boolean().nullish(),
  errors: z.array(z.string()).nullish(),
});
type Item = z.infer<typeof Item>;

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { "x-api-key": connection.credentials.api_key });

/** 403: the key is wrong, or no credits are left. */
const failure = (response: HttpResponse): Answer =>
  refusal("Wappalyzer", response, { broken: [401, 403], refused: [400] });

/** Wappalyzer's own advice: ask again up to three times, five minutes apart. */
const AGAIN_SECONDS = 300;

const addressOf = (domain: string) => `https://${domain}`;
const sameAddress = (a: string, b: string) => a.replace(/\/+$/, "").toLowerCase() === b.toLowerCase();

/** Wappalyzer v2 lookup, https://www.wappalyzer.com/docs/api/v2/lookup: the technologies of up to ten websites in one call. */
export const wappalyzer = defineLookupProvider({
  id: "wappalyzer",
  label: "Wappalyzer",
  category: "enrichment",
  docs_url: "https://www.wappalyzer.com/docs/api/v2/lookup/",
  setup:
    "Create an API key in your account at www.wappalyzer.com. The plan must include API credits; each website costs one.",
  credentials: Credentials,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** The balance is free. */
  async check(connection, http) {
    const response = await api(connection, http)("GET", "/credits/balance");
    if (response.status === 200) {
      const { credits } = answers.shaped(z.object({ credits: z.number() }), response.json(), "Wappalyzer balance");
      return { ok: true, detail: `Connected; ${credits} credits are left.` };
    }
    const { code, detail } = failure(response) as { code: string; detail: string };
    return { ok: false, code, detail, suggestion: "Copy the key again from your account at www.wappalyzer.com." };
  },

  lookup: {
    // The limit is not published; 10 a second is quoted elsewhere: UNVERIFIED, so half of it.
    per_second: 5,
    call_seconds: 15,
    // $250 a month for 5,000 credits (www.wappalyzer.com/pricing, Pro, August 2026).
    unit_micros: 50_000,
    kinds: {
      // One credit for a website out of its database (docs/api/v2/basics); that nothing was found does not make it free.
      company: { needs: [["domain"]], gives: ["company_technologies"], batch: 10, units: 1 },
    },
    lookup(_kind, questions, connection, http) {
      return lookupCall(questions, async () => {
        const urls = questions.map((q) => addressOf(q.domain!));
        // As documented by default: out of the database, without detections of low confidence.
        const query = new URLSearchParams({ urls: [...new Set(urls)].join(","), live: "false", denoise: "true" });
        const response = await api(connection, http)("GET", `/lookup?${query}`);
        if (response.status !== 200) return questions.map(() => failure(response));
        const items = answers.shaped(z.array(Item), response.json(), "Wappalyzer answer");
        return urls.map((url, at) =>
          // Asked twice in a batch, looked up and charged once.
          answer(
            items.find((item) => sameAddress(item.url, url)),
            urls.indexOf(url) === at ? 1 : 0,
          ),
        );
      });
    },
  },
});

function answer(item: Item | undefined, units: number): Answer {
  if (!item)
    return { outcome: "unknown", code: "bad_answer", detail: "Wappalyzer left this website out of its answer." };
  if (item.crawl)
    return { outcome: "later", after_seconds: AGAIN_SECONDS, detail: "Wappalyzer is still looking at the website." };
  // Whether a failed website is charged is not documented.
  if (item.errors?.length) return { outcome: "unknown", code: "failed", detail: item.errors.join(" ").slice(0, 300) };
  const technologies = item.technologies ?? [];
  if (technologies.length === 0) return { outcome: "miss", units };
  const last = Math.max(...technologies.map((t) => t.confirmedAt ?? 0));
  return {
    outcome: "found",
    units,
    found: {
      // Seen on the website itself, low confidence left out; it tells no measure for each.
      confidence: 0.9,
      values: { company_technologies: technologies.map((t) => t.name) },
      ...(last > 0 ? { seen_at: new Date(last * 1000).toISOString() } : {}),
    },
  };
}
