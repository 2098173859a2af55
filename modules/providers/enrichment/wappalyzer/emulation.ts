import { companyAt, knows } from "../../../sandbox/directory.ts";
import { type BodyFault, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/** Wappalyzer v2: lookup and balance. Stricter: a parameter it does not know is refused. */

const errors = (status: number, ...said: string[]) => Response.json({ errors: said }, { status });

const KNOWN = ["urls", "live", "recursive", "denoise", "min_age", "max_age", "squash", "sets", "callback_url"];

export const emulation = defineEmulation({
  id: "wappalyzer",
  example() {
    const api_key = crypto.randomUUID().replaceAll("-", "");
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = request.headers.get("x-api-key") ?? "";
      return /^[0-9a-f]{32}$/.test(key) ? { key } : errors(403, "Forbidden");
    },
    refuse: {
      body: ({ detail }: BodyFault) => errors(400, detail),
      unknownPath: () => Response.json({ message: "Missing Authentication Token" }, { status: 403 }),
      rateLimit: () => errors(429, "Rate limit exceeded."),
      serverError: () => errors(500, "Internal server error"),
    },
    routes: [
      route("GET /credits/balance", () => ({ credits: 4900 })),
      looksUp(
        route("GET /lookup", ({ query, charge, store, account }) => {
          const odd = [...query.keys()].find((name) => !KNOWN.includes(name));
          const urls = (query.get("urls") ?? "").split(",");
          if (odd) return errors(400, `Unknown parameter ${odd}`);
          if (urls.length > 10) return errors(400, "At most 10 URLs");
          if (!urls.every((url) => /^https?:\/\/[^/]/.test(url))) return errors(400, "URLs must be absolute");
          return urls.map((url) => {
            const domain = new URL(url).hostname;
            // Websites of `pending…` are looked at first, those of `broken…` cannot be.
            const first = !store.charged(account.id).some((c) => c.question === `crawl:${domain}`);
            if (domain.startsWith("pending") && first) {
              charge(0, `crawl:${domain}`);
              return { url, crawl: true };
            }
            if (domain.startsWith("broken")) return { url, errors: ["Something went wrong"] };
            const company = companyAt(domain);
            const names = company && knows("wappalyzer", domain, 0.8) ? company.technologies : [];
            charge(1, `company:${domain}`);
            const technologies = names.map((name) => ({
              slug: name.toLowerCase().replaceAll(" ", "-"),
              name,
              versions: [],
              categories: [{ id: 1, slug: "cms", name: "CMS" }],
              confirmedAt: Date.UTC(2026, 8, 1) / 1000,
            }));
            return { url, technologies };
          });
        }),
      ),
    ],
  },
});
