import { companyAt, knows } from "../../../sandbox/directory.ts";
import { type BodyFault, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/** BuiltWith Domain API v22 and usage. Errors come with status 200, as BuiltWith's own do; an unknown parameter is one. */

const error = (Code: number, Message: string, Lookup?: string) => ({ Code, Message, ...(Lookup ? { Lookup } : {}) });
const failed = (...Errors: object[]) => Response.json({ Results: [], Errors });

const FLAGS = ["LOOKUP", "LIVEONLY", "HIDETEXT", "NOMETA", "NOPII", "NOATTR", "FDRANGE"];

export const emulation = defineEmulation({
  id: "builtwith",
  example() {
    const api_key = crypto.randomUUID();
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = /^API ([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(
        request.headers.get("authorization") ?? "",
      )?.[1];
      return key ? { key } : failed(error(-2, "API Key is incorrect, it should be a Guid"));
    },
    refuse: {
      body: ({ detail }: BodyFault) => failed(error(-1, detail)),
      unknownPath: () => new Response("Not found", { status: 404 }),
      rateLimit: (after) =>
        new Response("Too many requests", { status: 429, headers: { "retry-after": String(after) } }),
      serverError: () => new Response("Server error", { status: 500 }),
    },
    routes: [
      route("GET /usagev2/api.json", () => ({ used: 100, purchased: 2000, remaining: 1900 })),
      looksUp(
        route("GET /v22/api.json", ({ query, charge, store, account }) => {
          const odd = [...query.keys()].find((name) => !FLAGS.includes(name));
          if (odd) return failed(error(-1, `Unknown parameter ${odd}`));
          const domains = (query.get("LOOKUP") ?? "").split(",").filter((domain) => domain !== "");
          if (domains.length === 0 || domains.length > 16) return failed(error(-7, "1 to 16 lookups at a time"));
          // An account of a thousand charges has none left.
          if (store.charged(account.id).length >= 1000) return failed(error(-3, "You are out of API credits"));
          const good = domains.filter((domain) => /^[^./]+(\.[^./]+)+$/.test(domain));
          const Errors = domains
            .filter((domain) => !good.includes(domain))
            .map((domain) => error(-8, "Invalid root domain name or unsupported", domain));
          // In no promised order.
          const Results = good.toReversed().map((domain) => {
            const company = companyAt(domain);
            const technologies = company && knows("builtwith", domain, 0.9) ? company.technologies : [];
            charge(1, `company:${domain}`);
            const Technologies = technologies.map((Name) => ({
              Name,
              Tag: "widgets",
              FirstDetected: Date.UTC(2020, 0, 1),
              LastDetected: Date.UTC(2026, 8, 1),
            }));
            const Paths = technologies.length > 0 ? [{ Domain: domain, Url: "", SubDomain: "", Technologies }] : [];
            return { Lookup: domain, Result: { IsDB: "True", Spend: 0, Paths }, FirstIndexed: 0, LastIndexed: 0 };
          });
          return { Results, Errors };
        }),
      ),
    ],
  },
});
