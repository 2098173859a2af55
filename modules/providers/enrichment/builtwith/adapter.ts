import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { lookupCall, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider } from "../vocabulary.ts";

const BASE = "https://api.builtwith.com";

const Credentials = z.object({
  api_key: z
    .string()
    .min(1)
    .meta({ title: "API key", secret: true, placeholder: "00000000-0000-0000-0000-000000000000" }),
});
type Credentials = z.infer<typeof Credentials>;

const Problem = z.object({ Code: z.number().nullish(), Message: z.string().nullish(), Lookup: z.string().nullish() });
type Problem = z.infer<typeof Problem>;
const Failed = z.object({ Errors: z.array(Problem).nullish() });
const Technology = z.object({ Name: z.string(), LastDetected: z.number().nullish() });
/** Lookup stands beside Result in some samples and inside of it in others. */
const Results = z.object({
  Results: z
    .array(
      z.object({
        Lookup: z.string().nullish(),
        Result: z.object({
          Lookup: z.string().nullish(),
          Paths: z.array(z.object({ Technologies: z.array(Technology).nullish() })).nullish(),
        }),
      }),
    )
    .nullish(),
});
type Technologies = z.infer<typeof Technology>[];

/** The key in a header: in the address it would be in the logs of every proxy. */
const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { authorization: `API ${connection.credentials.api_key}` });

const failure = (response: HttpResponse): Answer =>
  refusal("BuiltWith", response, { broken: [401, 402, 403], refused: [400] });

/** Errors come with status 200. Codes: api.builtwith.com/errorCodes. */
function outcomeOf({ Code, Message }: Problem): Answer {
  const code = `builtwith_${Code ?? "error"}`;
  const detail = Message?.slice(0, 300) || `BuiltWith answered with error ${Code}.`;
  switch (Code) {
    // -2: the key is wrong, -3: no credits are left, -5: the plan must be larger.
    case -2:
    case -3:
    case -5:
      return { outcome: "broken", code, detail };
    // Not a root domain, or not one that is supported.
    case -8:
      return { outcome: "refused", code, detail };
    case -99:
      return { outcome: "retry", code, detail };
    default:
      return { outcome: "unknown", code, detail };
  }
}

const sameHost = (a: string | null | undefined, b: string) => a?.toLowerCase() === b.toLowerCase();

/** BuiltWith Domain API, https://api.builtwith.com/domain-api: the technologies of up to 16 domains in one call. */
export const builtWith = defineLookupProvider({
  id: "builtwith",
  label: "BuiltWith",
  category: "enrichment",
  docs_url: "https://api.builtwith.com/domain-api",
  setup:
    "The API key stands on api.builtwith.com when you are logged in. Every domain costs one API credit of your account.",
  credentials: Credentials,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** The balance is free. */
  async check(connection, http) {
    const response = await api(connection, http)("GET", "/usagev2/api.json");
    const suggestion = "Copy the key again from api.builtwith.com and look at your credits.";
    if (response.status !== 200) {
      const { code, detail } = failure(response) as { code: string; detail: string };
      return { ok: false, code, detail, suggestion };
    }
    const Usage = Failed.extend({ remaining: z.number().nullish() });
    const { Errors, remaining } = answers.shaped(Usage, response.json(), "BuiltWith usage");
    const [problem] = Errors ?? [];
    if (problem) {
      const { code, detail } = outcomeOf(problem) as { code: string; detail: string };
      return { ok: false, code, detail, suggestion };
    }
    return { ok: true, detail: `Connected; ${remaining ?? "an unknown number of"} credits are left.` };
  },

  lookup: {
    // 10 calls a second, 8 side by side.
    per_second: 8,
    call_seconds: 15,
    // Prices of API credits are behind the login: $0.05 is assumed. UNVERIFIED.
    unit_micros: 50_000,
    kinds: {
      // One credit for a domain, whether anything is known of it is not documented to matter.
      company: { needs: [["domain"]], gives: ["company_technologies"], batch: 16, units: 1 },
    },
    lookup(_kind, questions, connection, http) {
      return lookupCall(questions, async () => {
        const domains = questions.map((q) => q.domain!);
        const query = new URLSearchParams({ LOOKUP: [...new Set(domains)].join(",") });
        // What is live only, and neither descriptions nor persons: faster, and less that nobody asked for.
        for (const flag of ["LIVEONLY", "HIDETEXT", "NOMETA", "NOPII", "NOATTR"]) query.set(flag, "yes");
        const response = await api(connection, http)("GET", `/v22/api.json?${query}`);
        if (response.status !== 200) return questions.map(() => failure(response));
        const raw = response.json();
        const problems = answers.shaped(Failed, raw, "BuiltWith answer").Errors ?? [];
        const forAll = problems.find((p) => !domains.some((domain) => sameHost(p.Lookup, domain)));
        const results = answers.shaped(Results, raw, "BuiltWith answer").Results ?? [];
        return domains.map((domain, at): Answer => {
          const own = problems.find((p) => sameHost(p.Lookup, domain));
          if (own) return outcomeOf(own);
          const result = results.find((r) => sameHost(r.Lookup ?? r.Result.Lookup, domain))?.Result;
          if (!result && forAll) return outcomeOf(forAll);
          // Asked twice in a batch, looked up and charged once.
          const units = domains.indexOf(domain) === at ? 1 : 0;
          return answer(result?.Paths?.flatMap((path) => path.Technologies ?? []) ?? [], units);
        });
      });
    },
  },
});

function answer(technologies: Technologies, units: number): Answer {
  if (technologies.length === 0) return { outcome: "miss", units };
  const last = Math.max(...technologies.map((t) => t.LastDetected ?? 0));
  return {
    outcome: "found",
    units,
    found: {
      // Seen on the pages of the domain itself; BuiltWith tells no measure.
      confidence: 0.9,
      values: { company_technologies: [...new Set(technologies.map((t) => t.Name))] },
      ...(last > 0 ? { seen_at: new Date(last).toISOString() } : {}),
    },
  };
}
