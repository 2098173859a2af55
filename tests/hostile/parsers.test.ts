import { beforeAll, describe, expect, test } from "vitest";
import { createApp as createWebhooks } from "../../functions/webhooks/app.ts";
import { readInbound, referencesOf } from "../../modules/channels/email/inbound.ts";
import { compile } from "../../modules/channels/email/template.ts";
import { keyword } from "../../modules/channels/sms/opt-out.ts";
import { smsText } from "../../modules/channels/sms/template.ts";
import { detectCsv } from "../../modules/contacts/imports/detect.ts";
import { filterFaults } from "../../modules/contacts/filter.ts";
import {
  normaliseDomain,
  normaliseEmail,
  normaliseLinkedinUrl,
  normalisePhone,
  parseDate,
  parseNumber,
} from "../../modules/contacts/normalize.ts";
import { redact } from "../../modules/kernel/observability/log.ts";
import { auditable } from "../../modules/kernel/operations/audit-mask.ts";
import { isoDate } from "../../modules/providers/answers.ts";
import { htmlToText } from "../../modules/providers/email/html-text.ts";
import { parseAddress } from "../../modules/providers/email/shared.ts";
import { limitQuery } from "../../supabase/embedded/rest-limits.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";
import { type Case, CSV, HTML, MARKDOWN, QUERIES, REPLIES, WORDS } from "./worst-cases.ts";

// What people and strangers write, at its worst for what reads it. Nothing may hold the process: everybody's requests wait for it.

type Parser = { read: (text: string) => unknown; cases: Record<string, Case>; n: number };
const bytes = new TextEncoder();
const email = (body: string) => compile({ subject: "s", body }, { customKeys: new Set(["a"]), first: true });
const inbound = (text: string, headers: Record<string, string> = {}, subject = "Re: x") =>
  readInbound({
    provider_inbound_id: "1",
    from: { address: "a@example.com", name: null },
    to: ["b@example.com"],
    text,
    details: { subject, html: null, headers, rfc_message_id: null },
  });

/** All that reads what somebody wrote, with as much as it is ever given. */
const PARSERS: Record<string, Parser> = {
  "the body of an e-mail": { read: email, cases: MARKDOWN, n: 50_000 },
  "the body of a text message": {
    read: (body) => smsText.compile({ body }, { customKeys: new Set(), first: true }),
    cases: MARKDOWN,
    n: 4000,
  },
  "the HTML of a received e-mail": { read: htmlToText, cases: HTML, n: 500_000 },
  "… beyond what mail programs write": { read: htmlToText, cases: HTML, n: 4_000_000 },
  "the text of a received e-mail": { read: (text) => inbound(text), cases: REPLIES, n: 100_000 },
  "its headers": {
    read: (text) =>
      inbound(
        "a",
        { references: text, "in-reply-to": text, "content-type": text, "reply-to": text, precedence: text },
        text,
      ),
    cases: WORDS,
    n: 50_000,
  },
  references: { read: (text) => referencesOf({ references: text }), cases: WORDS, n: 50_000 },
  "a party of a received e-mail": { read: parseAddress, cases: WORDS, n: 50_000 },
  "a word to opt out": { read: keyword, cases: WORDS, n: 50_000 },
  "a date of a provider": { read: isoDate, cases: WORDS, n: 50_000 },
  "an e-mail address": { read: normaliseEmail, cases: WORDS, n: 50_000 },
  "a phone number": { read: (text) => normalisePhone(text, "DE"), cases: WORDS, n: 50_000 },
  "a profile": { read: normaliseLinkedinUrl, cases: WORDS, n: 50_000 },
  "a domain": { read: normaliseDomain, cases: WORDS, n: 50_000 },
  "a number": { read: parseNumber, cases: WORDS, n: 50_000 },
  "a date": { read: parseDate, cases: WORDS, n: 50_000 },
  "a filter": {
    read: (text) =>
      filterFaults({
        all: [
          { field: text, op: "eq", value: text },
          { field: "created_at", op: "after", value: text },
        ],
      }),
    cases: WORDS,
    n: 50_000,
  },
  "the head of a CSV file": {
    read: (text) => {
      try {
        return detectCsv(bytes.encode(text), "utf-8", true);
      } catch {
        return null;
      }
    },
    cases: CSV,
    n: 200_000,
  },
  "a query over REST": {
    read: (query) => limitQuery(new URL(`http://x/rest/v1/contacts?${query}`)),
    cases: QUERIES,
    n: 15_900,
  },
  "a line of the log": { read: (text) => redact(text), cases: WORDS, n: 50_000 },
  "a row of the audit log": { read: (text) => auditable(text, "x"), cases: WORDS, n: 50_000 },
};

/** Milliseconds of the processor: the clock would measure whoever else is on the machine. */
function cost(read: (text: string) => unknown, text: string): number {
  const before = process.cpuUsage();
  read(text);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Whether one of three measurements shows it: collecting garbage counts now and then, and never makes anything look faster. */
const shown = (measure: () => boolean): boolean => measure() || measure() || measure();

/** What grows with the square takes sixteen times as long for four times the text; what grows with the text takes four times as long. */
const isLinear = (read: (text: string) => unknown, long: string, short: string): boolean =>
  shown(() => {
    const least = Math.min(cost(read, short), cost(read, short), cost(read, short));
    return cost(read, long) < 9 * least;
  });

/** What nobody notices; below it growth is not measured. */
const UNNOTICED_MS = 40;
const MOST_MS = 1000;

describe.each(Object.entries(PARSERS))("%s", (_, { read, cases, n }) => {
  test.each(Object.entries(cases))(
    "does not hold the process with %s, and four times as much costs about four times",
    (__, make) => {
      const whole = make(n);
      // Once, so that nothing is measured that is only compiled.
      read(make(1000));
      let all = Infinity;
      expect(shown(() => (all = cost(read, whole)) < MOST_MS)).toBe(true);
      if (all > UNNOTICED_MS) expect(isLinear(read, whole, make(n / 4))).toBe(true);
    },
  );
});

test("the measure is red for what grows with the square", () => {
  const square = (text: string) => {
    let work = 0;
    for (let i = 0; i < text.length; i++) for (let j = 0; j < text.length; j++) work += j & 1;
    return work;
  };
  square("a".repeat(1000));
  expect(isLinear(square, "a".repeat(16_000), "a".repeat(4000))).toBe(false);
});

test("a date that Postgres does not hold is none", () => {
  expect(isoDate("Fri, 20 Nov 2026 12:59:01 +0200")).toBe("2026-11-20T10:59:01.000Z");
  for (const date of ["Fri, 31 Dec 275759 00:00:00 +0000", "-000001-01-01T00:00:00Z", "infinity", "9".repeat(1e6)])
    expect(isoDate(date), date.slice(0, 40)).toBeNull();
});

describe("a received e-mail beyond the bounds", () => {
  test("is kept as plain text, and nothing that was written is lost", () => {
    const words = Array.from({ length: 2000 }, (_, i) => `word${i}`);
    for (const html of [
      words.map((w) => `<div>${w}`).join(""),
      words.map((w) => `<b>${w}</x> `).join(""),
      `${"<div>".repeat(50_000)}${words.join(" ")}`,
      `<p>${words.join("</p><p>")}</p><p>${"x ".repeat(300_000)}</p>`,
      `<style>p { color: red }</style><script>alert(1)</script>${"<i>".repeat(200)}${words.join(" &amp; ")}`,
    ]) {
      const text = htmlToText(html);
      expect(words.filter((w) => !text.includes(w))).toEqual([]);
      expect(text).not.toMatch(/<|color: red|alert/);
    }
    expect(htmlToText(`${"<div>".repeat(300)}one</div><div>two<br>three &lt;four&gt;`)).toBe(
      "one\n\ntwo\nthree <four>",
    );
  });
});

describe("meanwhile", () => {
  const t = testKernel({ OVERTURE_API_RATE: "100000", OVERTURE_API_BURST: "1000000" });
  let team: TestTenant;
  let other: TestTenant;
  beforeAll(async () => {
    [team, other] = [await t.tenant(), await t.tenant()];
  });

  /** Milliseconds of this process that the slowest of another tenant's requests waited for while `act` ran. */
  async function slowestWhile(act: () => Promise<unknown>): Promise<number> {
    let slowest = 0;
    const acting = new AbortController();
    const asking = (async () => {
      while (!acting.signal.aborted) {
        const before = process.cpuUsage();
        expect((await other.api("GET", "/lists")).status).toBe(200);
        const { user, system } = process.cpuUsage(before);
        slowest = Math.max(slowest, (user + system) / 1000);
      }
    })();
    try {
      await act();
    } finally {
      acting.abort();
      await asking;
    }
    return slowest;
  }
  /** Several steps of one request may each wait for a piece of work; machines differ by a factor of three. */
  const PATIENCE_MS = 2000;

  const SOME = [
    "emphasis within emphasis",
    "links that never close",
    "www",
    "blanks",
    "a link and full stops",
    "quotes, deeper and deeper",
    "tables",
    "variables nobody knows",
  ];
  test.each(SOME)("another tenant is answered: %s in every step of a campaign", async (name) => {
    const make = MARKDOWN[name]!;
    // As much of it as is parsed, and as much as a body may have.
    const lengths = [2000, 10_000, 50_000];
    const steps = Array.from({ length: 30 }, (_, i) => ({ kind: "email", subject: "s", body: make(lengths[i % 3]!) }));
    let status = 0;
    const slowest = await slowestWhile(async () => {
      const answer = await team.api("POST", "/campaigns", { name: crypto.randomUUID(), sender_ids: [], steps });
      status = answer.status;
      if (status === 422) expect(answer.body.errors[0].pointer).toMatch(/^\/steps\/\d+\/body$/);
    });
    expect([201, 422], name).toContain(status);
    expect(slowest).toBeLessThan(PATIENCE_MS);
  });

  test("another tenant is answered: numbers, dates, addresses, filters and files of the worst kind", async () => {
    await t.sql`insert into public.custom_fields (tenant_id, key, label, type) values (${team.id}, 'n', 'N', 'number'), (${team.id}, 'd', 'D', 'date')`;
    const slowest = await slowestWhile(async () => {
      for (const make of Object.values(WORDS)) {
        const word = make(150_000);
        const made = await team.api("POST", "/contacts", {
          email: word,
          phone: word,
          company_domain: word,
          custom: { n: word, d: word },
        });
        expect(made.status).toBe(422);
        expect(made.body.errors.map((e: { pointer: string }) => e.pointer)).toContain("/email");
        const filter = {
          all: [
            { field: "title", op: "contains", value: word },
            { field: word, op: "eq", value: 1 },
          ],
        };
        const segment = await team.api("POST", "/segments", { name: "x", filter });
        expect([segment.status, segment.body.errors[0].pointer]).toEqual([422, "/filter/all/0/value"]);
      }
      const keys = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 1]));
      const many = await team.api("POST", "/contacts", { email: "a@example.com", custom: keys });
      expect([many.status, many.body.errors[0].pointer]).toEqual([422, "/custom/k0"]);
      for (const make of Object.values(CSV))
        expect([201, 415, 422]).toContain(
          (
            await team.api("POST", "/imports?file_name=a.csv", bytes.encode(make(2_000_000)), {
              "content-type": "text/csv",
            })
          ).status,
        );
    });
    expect(slowest).toBeLessThan(PATIENCE_MS);
  });

  test("another tenant is answered: received e-mails of the worst kind, of which each arrives", async () => {
    const [username, password] = ["hook", crypto.randomUUID()];
    const made = await team.api("POST", "/connections", {
      provider: "postmark",
      name: "In",
      credentials: { server_token: crypto.randomUUID(), webhook_username: username, webhook_password: password },
      base_url: `${t.env.OVERTURE_SANDBOX_URL}/postmark`,
    });
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    const webhooks = createWebhooks(t.kernel);
    let sent = 0;
    const deliver = async (mail: Record<string, unknown>) => {
      const id = `${crypto.randomUUID()}`;
      const answer = await webhooks.request(`/webhooks/postmark/${made.body.id}`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa(`${username}:${password}`)}` },
        body: JSON.stringify({
          FromFull: { Email: `s${++sent}@example.com`, Name: "" },
          ToFull: [{ Email: "in@us.example", Name: "" }],
          Subject: "Re: x",
          MessageID: id,
          Headers: [],
          ...mail,
        }),
      });
      expect(answer.status, await answer.text()).toBe(200);
    };
    const slowest = await slowestWhile(async () => {
      for (const make of Object.values(HTML)) await deliver({ HtmlBody: `${make(1_000_000)} the end` });
      for (const make of Object.values(REPLIES)) await deliver({ TextBody: make(200_000) });
      for (const Date of ["Sat, 30 Feb 2026 25:00:00 +9999", "Fri, 31 Dec 275759 00:00:00 +0000", "infinity", ""])
        await deliver({ TextBody: "x", Date });
      await until(
        async () => {
          await t.drain("webhooks_in");
          const [row] = await t.sql<{ n: number }[]>`
            select count(*)::int as n from public.messages where tenant_id = ${team.id} and direction = 'in'`;
          return row!.n === sent;
        },
        { what: "every mail to arrive", timeoutMs: 60_000 },
      );
    });
    expect(slowest).toBeLessThan(PATIENCE_MS);
    expect(await t.sql`select reason from kernel.dead_letters where tenant_id = ${team.id}`).toEqual([]);
  });
});
