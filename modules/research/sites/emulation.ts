import { gzipSync } from "node:zlib";
import { companyAt } from "../../sandbox/directory.ts";
import { type Call, defineEmulation, looksUp, route } from "../../sandbox/emulation.ts";
import * as pages from "../../sandbox/site-pages.ts";

/**
 * Websites of the directory's invented companies: `/sites/<host>/<path>` stands for `https://<host>/<path>`. Hosts that begin with a word
 * below play a part. Whatever is asked for is noted with the host, so that a test can see what was fetched.
 */

const html = (body: string, status = 200, headers: Record<string, string> = {}) =>
  new Response(body, { status, headers: { "content-type": "text/html; charset=utf-8", ...headers } });
const text = (body: string, status = 200) =>
  new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
const xml = (body: string) => new Response(body, { headers: { "content-type": "application/rss+xml; charset=utf-8" } });
const goTo = (location: string) => new Response(null, { status: 302, headers: { location } });

const ROBOTS = "User-agent: *\nDisallow: /private/\nSitemap: https://HOST/sitemap.xml\n";

/** By the first word of the host; null: as every other site. */
const PARTS: Record<string, (path: string, host: string, query: URLSearchParams) => Response | null> = {
  closed: (path) => (path === "robots.txt" ? text("User-agent: *\nDisallow: /\n") : null),
  broken: (path) => (path === "robots.txt" ? text("Internal error", 500) : null),
  patient: (path) => (path === "robots.txt" ? text("User-agent: *\nCrawl-delay: 600\n") : null),
  steady: (path) => (path === "robots.txt" ? text("User-agent: *\nCrawl-delay: 4\n") : null),
  captcha: (path) =>
    path === "robots.txt" ? null : html(pages.challenge, 403, { "cf-mitigated": "challenge", server: "cloudflare" }),
  robot: (path) => (path === "about" ? html(pages.quietChallenge) : null),
  busy: (path) =>
    path === "robots.txt" ? null : new Response("Slow down", { status: 429, headers: { "retry-after": "120" } }),
  away: (path) =>
    path === "about"
      ? goTo("http://169.254.169.254/latest/meta-data/")
      : path === "news"
        ? goTo("https://other.example/")
        : null,
  round: (path) => (path === "robots.txt" ? null : goTo(`/${path}x`)),
  huge: (path) => (path === "about" ? html(`<p>${"We have 12 employees. ".repeat(200_000)}</p>`) : null),
  bomb: (path) =>
    path === "about"
      ? new Response(new Uint8Array(gzipSync(Buffer.alloc(60 * 1024 * 1024))), {
          headers: { "content-type": "text/html", "content-encoding": "gzip" },
        })
      : null,
  calendar: (path, host) => (path === "robots.txt" || path === "feed.xml" ? null : html(pages.endless(host, path))),
  hostile: (path, host) =>
    path === "robots.txt" ? null : path === "feed.xml" ? xml(pages.hostileFeed(host)) : html(pages.hostile(host)),
  forbidding: (path, host) =>
    path === "robots.txt"
      ? text(`User-agent: *\nDisallow: /about\nDisallow: /news\n`)
      : path === ""
        ? html(pages.home(companyAt(host)!))
        : null,
};

function answer(call: Call<null>): Response {
  const { host, path = "" } = call.params as { host: string; path?: string };
  call.charge(0, `/${path}`);
  const played = PARTS[host.split(/[.-]/)[0]!]?.(path, host, call.query);
  if (played) return played;
  const company = companyAt(host.replace(/^www\./, ""));
  if (!company) return html("<h1>Not found</h1>", 404);
  switch (path) {
    case "robots.txt":
      return text(ROBOTS.replace("HOST", host));
    case "sitemap.xml":
      return xml(pages.sitemap(host));
    case "feed.xml":
      return xml(pages.feed(company));
    case "":
      return html(pages.home(company), 200, { server: "cloudflare" });
    case "about":
      return html(pages.about(company));
    case "careers":
      return html(pages.careers(company));
    case "products":
      return html(pages.products(company));
    case "news":
      return html(pages.news(company));
    default:
      return html("<h1>Not found</h1>", 404);
  }
}

export const emulation = defineEmulation({
  id: "sites",
  example: () => ({ credentials: {}, key: "example.com" }),
  http: {
    content: "json",
    // Every host is an account of its own.
    auth: (_, path) => ({ key: path.split("/")[1] ?? "" }),
    refuse: {
      body: ({ detail }) => text(detail, 400),
      unknownPath: () => html("<h1>Not found</h1>", 404),
      rateLimit: (after) => new Response("Slow down", { status: 429, headers: { "retry-after": String(after) } }),
      serverError: () => html("<h1>Error</h1>", 500),
    },
    routes: [looksUp(route("GET /:host/:path{.*}", answer)), looksUp(route("GET /:host", answer))],
  },
});
