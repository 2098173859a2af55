import { describe, expect, test } from "vitest";
import { createHttpClient, HttpError, type HttpClient } from "../../../kernel/http/client.ts";
import type { Answer } from "../vocabulary.ts";
import { companyAt } from "../../../sandbox/directory.ts";
import { conformance } from "../../conformance/suite.ts";
import { setStage } from "../../conformance/stage.ts";
import { website } from "./adapter.ts";
import { emulation } from "./emulation.ts";
import { linkedInOf, organizationOf, phoneOf, readPage, textOf } from "./page.ts";
import { technologiesOf } from "./technologies.ts";

const famous = companyAt("famous.com")!;
const sorted = (technologies: readonly string[]) => [...technologies].sort();

conformance(website, emulation, {
  check: { bad: [] },
  lookup: {
    company: {
      known: { domain: "famous.com" },
      expects: {
        company_name: famous.name,
        company_description: famous.description,
        company_linkedin_url: famous.linkedin_url,
        company_phone: famous.phone,
        company_country: famous.country,
        company_city: famous.city,
      },
      units: { found: 0, miss: 0 },
      unknown: { domain: "unknown.example" },
    },
  },
});

describe("visits", () => {
  const stage = setStage(website, emulation);
  const visit = async (domain: string, http: HttpClient = stage.http()): Promise<Answer> =>
    (await website.lookup!.lookup("company", [{ domain }], stage.fresh().connection, http))[0]!;
  /** The same client that notes what was asked for. */
  const noting = (urls: string[]): HttpClient => ({
    ...stage.http(),
    request(request) {
      urls.push(request.url.replace(/^.*?\/website\//, ""));
      expect(request.headers?.["user-agent"]).toMatch(/^Overture\/1\.0/);
      return stage.http().request(request);
    },
  });

  test("one robots.txt and one page, under the product's name, cost nothing", async () => {
    const urls: string[] = [];
    expect(await visit("acme.com", noting(urls))).toMatchObject({ outcome: "found", units: 0 });
    expect(urls).toEqual(["acme.com/robots.txt", "acme.com/"]);
  });

  test.each(["robots.acme.com", "norobot.acme.com"])(
    "%s forbids it by robots.txt: refused, and the page is not asked for",
    async (domain) => {
      const urls: string[] = [];
      expect(await visit(domain, noting(urls))).toMatchObject({ outcome: "refused", code: "robots" });
      expect(urls).toEqual([`${domain}/robots.txt`]);
    },
  );

  test("what is forbidden to others or elsewhere on the site does not concern the home page", async () => {
    expect(await visit("others.acme.com")).toMatchObject({ outcome: "found" });
  });

  test("a robots.txt that cannot be read forbids everything for now", async () => {
    const urls: string[] = [];
    expect(await visit("sick.acme.com", noting(urls))).toMatchObject({ outcome: "retry", code: "http_503" });
    expect(urls).toEqual(["sick.acme.com/robots.txt"]);
  });

  test.each(["captcha.acme.com", "wall.acme.com", "silentwall.acme.com"])(
    "%s wants a human: refused, and nothing more is tried",
    async (domain) => {
      const urls: string[] = [];
      expect(await visit(domain, noting(urls))).toMatchObject({ outcome: "refused", code: "captcha" });
      expect(urls).toEqual([`${domain}/robots.txt`, `${domain}/`]);
    },
  );

  test("a page that is forbidden without a challenge is refused as that", async () => {
    expect(await visit("forbidden.acme.com")).toMatchObject({ outcome: "refused", code: "http_403" });
  });

  test("a redirect is followed after the robots.txt of the next host has been asked", async () => {
    const urls: string[] = [];
    expect(await visit("moved.acme.com", noting(urls))).toMatchObject({
      outcome: "found",
      found: { values: { company_name: "Acme" } },
    });
    expect(urls).toEqual(["moved.acme.com/robots.txt", "moved.acme.com/", "www.acme.com/robots.txt", "www.acme.com/"]);
    expect(await visit("guarded.acme.com")).toMatchObject({ outcome: "refused", code: "robots" });
  });

  test("three redirects are followed, a fourth is not, nor one to an address without encryption", async () => {
    expect(await visit("far2.acme.com")).toMatchObject({ outcome: "found" });
    expect(await visit("far.acme.com")).toMatchObject({ outcome: "refused", code: "redirect" });
    expect(await visit("plain.acme.com")).toMatchObject({ outcome: "refused", code: "redirect" });
  });

  test("what another domain says counts less", async () => {
    expect(await visit("acme.com")).toMatchObject({ found: { confidence: 0.9 } });
    expect(await visit("elsewhere.acme.com")).toMatchObject({ found: { confidence: 0.5 } });
  });

  test("a page of more than two MiB is refused; one without any facts, or no page at all, is a miss", async () => {
    expect(await visit("huge.acme.com")).toMatchObject({ outcome: "refused", code: "too_large" });
    expect(await visit("bare.acme.com")).toEqual({ outcome: "miss", units: 0 });
    expect(await visit("pdf.acme.com")).toEqual({ outcome: "miss", units: 0 });
  });

  test("the technologies that the page shows are recognised, and no others", async () => {
    const all = new Set<string>();
    for (const domain of ["famous.com", "acme.com", "globex.com", "initech.com", "umbrella.com", "hooli.com"]) {
      const { technologies } = companyAt(domain)!;
      for (const technology of technologies) all.add(technology);
      const answer = (await visit(domain)) as { found: { values: { company_technologies?: string[] } } };
      expect(sorted(answer.found.values.company_technologies ?? []), domain).toEqual(sorted(technologies));
    }
    expect(all.size).toBeGreaterThan(5);
  });

  test("the charset of the page is read", async () => {
    expect(await visit("latin.acme.com")).toMatchObject({
      found: { values: { company_description: "Müller & Söhne" } },
    });
  });

  test("a page nested without end is read up to a depth, at once", async () => {
    const started = performance.now();
    expect(await visit("deep.acme.com")).toEqual({ outcome: "miss", units: 0 });
    expect(performance.now() - started).toBeLessThan(1500);
  });

  test("a hostile page is text: cleaned, cut, and nothing that only looks like a number or a LinkedIn page", async () => {
    const answer = await visit("hostile.acme.com");
    expect(answer).toMatchObject({
      outcome: "found",
      found: { values: { company_name: "Evil alert(1) Inc", company_phone: "+49 30 123456" } },
    });
    const { values } = (answer as { found: { values: Record<string, string | undefined> } }).found;
    expect(values.company_description!.length).toBeLessThanOrEqual(1000);
    expect(values.company_linkedin_url).toBeUndefined();
  });

  test.each(["a.com/../b", "a.com:8080", "user@a.com", "a.com?x", "localhost", "127.0.0.1", "[::1]", ""])(
    "%j is no name of a website, and is not asked for",
    async (domain) => {
      const urls: string[] = [];
      expect(await visit(domain, noting(urls))).toMatchObject({ outcome: "refused", code: "domain" });
      expect(urls).toEqual([]);
    },
  );

  test("a name that leads into the private network is refused, and the connection is not broken by it", async () => {
    const http = createHttpClient({
      allowPrivateHosts: [],
      userAgent: "test",
      lookup: (_host, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]),
    });
    const connection = { ...stage.fresh().connection, base_url: null };
    expect(await website.lookup!.lookup("company", [{ domain: "inside.example" }], connection, http)).toMatchObject([
      { outcome: "refused", code: "blocked" },
    ]);
  });

  test("without a base URL the domain itself is read; a name that does not exist is a miss, a failing resolver is not", async () => {
    const connection = { ...stage.fresh().connection, base_url: null };
    const urls: string[] = [];
    const failing = (code: string): HttpClient => ({
      ...stage.http(),
      request(request) {
        urls.push(request.url);
        return Promise.reject(new HttpError("dns", "no address", false, Object.assign(new Error(code), { code })));
      },
    });
    const ask = (code: string) =>
      website.lookup!.lookup("company", [{ domain: "acme.com" }], connection, failing(code));
    expect(await ask("ENOTFOUND")).toEqual([{ outcome: "miss", units: 0 }]);
    expect(await ask("EAI_AGAIN")).toMatchObject([{ outcome: "retry", code: "dns" }]);
    expect(urls[0]).toBe("https://acme.com/robots.txt");
  });
});

describe("pages", () => {
  test("a name that only contains that of a technology is none", () => {
    const page = {
      scripts: ["https://reactor.example/app.js", "/js/hotjar.js"],
      generators: ["My WordPress look-alike"],
    };
    expect(technologiesOf(page, new Headers({ server: "not-nginx" }))).toEqual([]);
  });

  test("the name of the page stands in for an organisation that JSON-LD does not name", () => {
    const page = readPage('<meta property="og:site_name" content="Acme &amp; Co"><script src=/a.js></script>');
    expect(page.metas.get("og:site_name")).toBe("Acme & Co");
    expect(page.scripts).toEqual(["/a.js"]);
  });

  test("an organisation is found at the top, in a list, in a graph, and as publisher; a person is none", () => {
    const acme = { "@type": "Organization", name: "Acme" };
    for (const data of [
      acme,
      [acme],
      { "@graph": [{ "@type": "WebPage" }, acme] },
      { "@type": "WebSite", publisher: acme },
    ])
      expect(organizationOf(["not JSON", JSON.stringify(data)])).toMatchObject({ name: "Acme" });
    expect(organizationOf([JSON.stringify({ "@type": "Person", name: "Ada" }), "[[[[]]]]", "null"])).toBeNull();
  });

  test("of several LinkedIn pages only the one of the company's own data is believed", () => {
    const links = ["https://www.linkedin.com/company/one/", "https://de.linkedin.com/company/Two?x=1"];
    expect(linkedInOf(null, links)).toBeUndefined();
    expect(linkedInOf(null, links.slice(0, 1))).toBe("https://www.linkedin.com/company/one");
    expect(linkedInOf({ sameAs: links[1] }, links)).toBe("https://www.linkedin.com/company/two");
  });

  test("a number of the company's data stands in where no link has one", () => {
    expect(phoneOf({ telephone: "+49 30 1" }, ["mailto:a@b.c"])).toBe("+49 30 1");
    expect(phoneOf(null, ["tel:+1-617-555-0100;ext=2"])).toBe("+1-617-555-0100");
  });

  test("an unknown charset is read as UTF-8", () => {
    const body = new TextEncoder().encode("Müller");
    expect(textOf({ headers: new Headers({ "content-type": "text/html; charset=klingon" }), body })).toBe("Müller");
  });
});
