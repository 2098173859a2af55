import { execFile } from "node:child_process";
import process from "node:process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { factsInText } from "./facts.ts";
import { newsIn } from "./feed.ts";
import { addCompany, fetched, findingsOf, researchNow, sitesEnv } from "./fixtures.ts";
import { readPage } from "./page.ts";
import { newsOf } from "./search.ts";
import { hostOf, sameSite } from "./site.ts";
import { INJECTION } from "../sandbox/site-pages.ts";
import { wallIn } from "./wall.ts";

/** Pages are data: whatever a page says, it is quoted at most. */

const t = testKernel(sitesEnv());
/** Without the sandbox: addresses as they are. */
const real = testKernel({ OVERTURE_RESEARCH_PAGES_PER_SECOND: "1000" });

test("a hostile page is read for what a person would see, its instructions are dropped, and its links lead nowhere", async () => {
  const team = await t.tenant();
  const company = await addCompany(team, "hostile");
  await team.api("POST", "/contacts", { email: `secret@${company.host}`, company_domain: company.host });
  const before = (await team.api("GET", "/contacts")).body.data;
  await researchNow(team, company.id);
  // Same host, standard port, no credentials: nothing else was asked for.
  expect((await fetched(t, company.host)).toSorted()).toEqual(["/", "/feed.xml", "/robots.txt", "/sitemap.xml"]);
  const { data } = await findingsOf(team, company.id);
  expect(data.map((f) => f.statement).toSorted()).toEqual([
    "A harmless headline of ours",
    `${company.name} says it has 42 people.`,
    `${company.name} was founded in 1999.`,
  ]);
  expect(data.every((f) => f.published_at === null)).toBe(true);
  const all = JSON.stringify(data);
  for (const word of [INJECTION, "evil.example", "alert(1)", "secret@", "javascript:"]) expect(all).not.toContain(word);
  expect(data.find((f) => f.provider === "feed")!.quote).toBe("Words of the item.");
  // Nothing of the team changed, and nobody was written to.
  expect((await team.api("GET", "/contacts")).body.data).toEqual(before);
  const [sent] = await t.sql`select count(*)::int as n from public.messages where tenant_id = ${team.id}`;
  expect(sent!.n).toBe(0);
});

test("redirects off the host are not followed, not even to an address that is refused anyway", async () => {
  const team = await t.tenant();
  const away = await addCompany(team, "away");
  expect(await researchNow(team, away.id)).toMatchObject({ outcome: "found", reason: null });
  expect(await fetched(t, "169.254.169.254")).toEqual([]);
  expect(await fetched(t, "other.example")).toEqual([]);
  const { data } = await findingsOf(team, away.id);
  expect(data.some((f) => f.quote.includes("Chief Technology Officer"))).toBe(false);
  const round = await addCompany(team, "round");
  expect(await researchNow(team, round.id)).toMatchObject({ outcome: "skipped", reason: "no_page" });
  expect((await fetched(t, round.host)).length).toBeLessThan(10);
});

test.each(["huge", "bomb"])("a page that is too large (%s) is left out, and the others are read", async (part) => {
  const team = await t.tenant();
  const company = await addCompany(team, part);
  expect(await researchNow(team, company.id)).toMatchObject({ outcome: "found" });
  const { data } = await findingsOf(team, company.id);
  expect(data.some((f) => f.url.endsWith("/about"))).toBe(false);
  expect(data.some((f) => f.url.endsWith("/careers"))).toBe(true);
});

test("an endless calendar costs a page, not a day", async () => {
  const team = await t.tenant();
  const company = await addCompany(team, "calendar");
  const told = await researchNow(team, company.id);
  expect(told.pages).toBeLessThan(8);
  expect((await fetched(t, company.host)).filter((p) => p.includes("calendar"))).toEqual([]);
});

test("private addresses, this machine, names without a dot and LinkedIn are not researched", async () => {
  const team = await real.tenant();
  for (const host of [
    "127.0.0.1",
    "localhost",
    "10.0.0.1",
    "[::1]",
    "linkedin.com",
    "de.linkedin.com",
    "a..b",
    "a/b.com",
    "user@b.com",
  ])
    expect(hostOf(host), host).toBeNull();
  // Names whose addresses are private: the outbound client refuses them.
  for (const domain of ["localtest.internal", "linkedin.com"]) {
    const { body } = await team.api("POST", "/companies", { name: domain, domain });
    const told = await researchNow(team, body.id, { search: false });
    expect(told).toMatchObject({
      pages: 0,
      findings: 0,
      reason: domain === "linkedin.com" ? "refused" : "unreachable",
    });
  }
});

const lookups: string[] = [];
/** Every name is this machine. */
const lied = testKernel({ OVERTURE_RESEARCH_PAGES_PER_SECOND: "1000", OVERTURE_ALLOW_PRIVATE_HOSTS: "" }, [], {
  lookup: (host, _, done) => {
    lookups.push(host);
    done(null, [{ address: "127.0.0.1", family: 4 }]);
  },
});

test("a name that resolves to a private address is refused by the outbound client, also for robots.txt", async () => {
  const team = await lied.tenant();
  const { body } = await team.api("POST", "/companies", { name: "Inside", domain: "inside.example" });
  expect(await researchNow(team, body.id)).toMatchObject({ outcome: "failed", reason: "unreachable", pages: 0 });
  expect(lookups).toContain("inside.example");
});

describe("reading", () => {
  test("only addresses of the same host on a standard port are the site's", () => {
    const of = (url: string) => sameSite(url, "https://acme.com/a/", "acme.com");
    expect(of("b?c#d")).toBe("https://acme.com/a/b?c");
    expect(of("https://www.acme.com/")).toBe("https://www.acme.com/");
    for (const url of [
      "https://acme.com.evil.example/",
      "https://evil.example/acme.com",
      "https://acme.com@evil.example/",
      "https://user:pass@acme.com/",
      "https://acme.com:8443/",
      "//evil.example",
      "javascript:alert(1)",
      "file:///etc/passwd",
      "data:text/html,x",
      "https://blog.acme.com/",
      `https://acme.com/${"x".repeat(2000)}`,
    ])
      expect(of(url), url).toBeNull();
  });

  test("pages made to cost time are read in little of it", () => {
    const big = 300_000;
    const pages = [
      "<div>".repeat(big / 5),
      "<a href=x>".repeat(big / 10),
      "<".repeat(big),
      "<script ".repeat(big / 8),
      "<style>".repeat(big / 7) + "{".repeat(big),
      `<p>${"we have 1 ".repeat(big / 10)}</p>`,
      `<p>${"€1 ".repeat(big / 3)}</p>`,
      `<p>${"founded ".repeat(big / 8)}</p>`,
      `<p>${"we 1.".repeat(big / 5)}</p>`,
      `<p style="${"display:".repeat(big / 8)}">x</p>`,
      `<script type="application/ld+json">${"[".repeat(big)}</script>`,
      `<p>${"ignore ".repeat(big / 7)}</p>`,
    ];
    for (const html of pages) {
      const started = performance.now();
      const page = readPage("https://acme.com/", html);
      factsInText(page, "Acme", "home");
      wallIn(200, new Headers(), html, () => page.blocks.map((b) => b.text).join(" "));
      newsIn(html, "https://acme.com/feed", new Date());
      expect(performance.now() - started, html.slice(0, 20)).toBeLessThan(4000);
    }
  });

  test("a search hit that gives orders, or leads to a network that forbids it, is no finding", () => {
    const hit = { url: "https://news.example/a", snippet: "Acme grows.", published_at: null };
    expect(
      newsOf(
        [
          { ...hit, title: `Acme: ${INJECTION}` },
          { ...hit, title: "Acme grows", snippet: INJECTION },
          { ...hit, title: "Acme grows", url: "https://www.linkedin.com/company/acme" },
          { ...hit, title: "Another company grows", snippet: "It does." },
        ],
        "Acme",
        "brave",
      ),
    ).toEqual([]);
  });

  test("a normal page with a CAPTCHA in its form is no wall", () => {
    const form = '<script src="https://www.google.com/recaptcha/api.js"></script>';
    expect(wallIn(200, new Headers(), form, () => "Words of the page. ".repeat(200))).toBe(false);
    expect(wallIn(200, new Headers(), form, () => "Please wait")).toBe(true);
    expect(wallIn(403, new Headers(), form, () => "")).toBe(true);
    expect(wallIn(403, new Headers(), "<p>Forbidden</p>", () => "Forbidden")).toBe(false);
  });

  test("what reads pages runs under Deno as it does under Node", async () => {
    const source = `
      import { readPage } from "./modules/research/page.ts";
      import { factsInText } from "./modules/research/facts.ts";
      import robotsParser from "robots-parser";
      const page = readPage("https://acme.com/", "<html lang=de><p>Wir haben 42 Mitarbeitende.</p></html>");
      const rules = robotsParser("https://acme.com/robots.txt", "User-agent: *\\nDisallow: /a");
      console.log(factsInText(page, "Acme", "about")[0].statement, rules.isAllowed("https://acme.com/a", "x"));`;
    const run = (command: string, args: string[]) =>
      promisify(execFile)(command, args, { cwd: process.cwd(), timeout: 30_000 });
    const both = [
      await run(process.execPath, ["--input-type=module-typescript", "-e", source]),
      await run("node_modules/.bin/deno", ["eval", "--no-check", "--ext=ts", source]),
    ];
    for (const { stdout } of both) expect(stdout.trim()).toBe("Acme says it has 42 people. false");
  }, 60_000);
});
