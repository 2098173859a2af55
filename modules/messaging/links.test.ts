import { describe, expect, test } from "vitest";
import { createApp } from "../../functions/links/app.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { isMachine } from "./machines.ts";
import { complete, prepare } from "../channels/email/prepare.ts";
import { linkToken, readLinkToken } from "../channels/email/tokens.ts";

const t = testKernel();
const app = createApp(t.kernel);
/** Lets the acts that recipients did so far take effect. */
const noted = () => t.drain("messaging_link_acts");
const BROWSER = {
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
};
const SCANNER = { "user-agent": "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)" };

/** A message that was sent, outside any campaign, with one tracked link. */
async function sent(team: TestTenant, to = `person-${uuid7()}@example.com`) {
  const id = uuid7();
  const contact = uuid7();
  await t.sql`insert into public.contacts (tenant_id, id, email) values (${team.id}, ${contact}, ${to})`;
  await t.sql`
    insert into public.messages (tenant_id, id, direction, channel, action, status, contact_id, from_address, to_address, subject, thread_id, sent_at)
    values (${team.id}, ${id}, 'out', 'email', 'email.send', 'sent', ${contact}, 'me@example.com', ${to}, 'Hello', ${id}, now())`;
  await t.sql`insert into public.tracked_links (tenant_id, message_id, number, url) values (${team.id}, ${id}, 1, 'https://example.com/a?b=1&c=2')`;
  const token = (purpose: "open" | "click" | "unsubscribe", number = 0) =>
    linkToken(t.kernel.vault, purpose, { tenantId: team.id, messageId: id, number });
  return { id, to, token };
}
const message = async (id: string) => (
  await noted(),
  (await t.sql`select opened_at, clicked_at, unsubscribed_at from public.messages where id = ${id}`)[0]!
);
const events = async (id: string) => (
  await noted(),
  await t.sql<
    { kind: string; is_bot: boolean }[]
  >`select kind, is_bot from public.message_events where message_id = ${id} order by created_at, at, kind`
);
const suppressed = async (team: TestTenant, to: string) =>
  (await t.sql`select 1 from public.suppressions where tenant_id = ${team.id} and address = ${to}`).length === 1;

describe("open pixel", () => {
  test("a person's open is counted once however often the mail is shown", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    const url = `/links/o/${await m.token("open")}`;
    for (let i = 0; i < 3; i++) {
      const answer = await app.request(url, { headers: BROWSER });
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("image/gif");
      expect(answer.headers.get("cache-control")).toContain("no-store");
    }
    expect(await events(m.id)).toEqual([{ kind: "opened", is_bot: false }]);
    expect((await message(m.id)).opened_at).not.toBeNull();
  });
  test("a scanner's open is kept, labelled, and not counted", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    await app.request(`/links/o/${await m.token("open")}`, { headers: SCANNER });
    expect(await events(m.id)).toEqual([{ kind: "opened", is_bot: true }]);
    expect((await message(m.id)).opened_at).toBeNull();
  });
});

describe("only a GET by a person counts", () => {
  const browser = BROWSER["user-agent"];
  const agent = (name: string) => ({ "user-agent": name });
  test.each<[string, Record<string, string>, boolean]>([
    ["a browser", BROWSER, false],
    [
      "a phone",
      agent(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
      ),
      false,
    ],
    [
      "Outlook on a desk",
      agent(
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; Microsoft Outlook 16.0.17928; ms-office; MSOffice 16)",
      ),
      false,
    ],
    ["Thunderbird", agent("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0"), false],
    [
      "Google's image proxy",
      agent("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"),
      false,
    ],
    ["Yahoo's image proxy", agent("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"), false],
    ["no user agent", {}, true],
    ["Apple's mail proxy", agent("Mozilla/5.0"), true],
    ["Sec-Purpose: prefetch", { ...BROWSER, "sec-purpose": "prefetch" }, true],
    ["Sec-Purpose: prefetch;prerender", { ...BROWSER, "sec-purpose": "prefetch;prerender" }, true],
    ["Sec-Purpose: prefetch;anonymous-client-ip", { ...BROWSER, "sec-purpose": "prefetch;anonymous-client-ip" }, true],
    ["Purpose: prefetch", { ...BROWSER, purpose: "prefetch" }, true],
    ["X-Purpose: preview", { ...BROWSER, "x-purpose": "preview" }, true],
    ["X-Moz: prefetch", { ...BROWSER, "x-moz": "prefetch" }, true],
    ["Bing's crawler", SCANNER, true],
    ["a chat's preview", agent("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"), true],
    ["Skype's preview", agent(`${browser} SkypeUriPreview Preview/0.5`), true],
    ["WhatsApp's preview", agent("WhatsApp/2.23.20.0"), true],
    ["a gateway", agent(`${browser} BarracudaCentral`), true],
    ["a scanner of links", agent("Mozilla/5.0 (compatible; Mimecast URL Protect)"), true],
    [
      "a browser without a window",
      agent("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0.0.0 Safari/537.36"),
      true,
    ],
    ["Office looking whether it exists", agent("Microsoft Office Existence Discovery"), true],
    ["a program", agent("python-requests/2.32.3"), true],
    ["another program", agent("Go-http-client/2.0"), true],
    ["a command", agent("curl/8.5.0"), true],
  ])("%s is a machine's: %s", (_, headers, machine) => expect(isMachine(new Headers(headers))).toBe(machine));

  test.each(["open", "click"] as const)("HEAD on a %s is answered and counts nothing", async (purpose) => {
    const team = await t.tenant();
    const m = await sent(team);
    const url = `/links/${purpose[0]}/${await m.token(purpose, purpose === "click" ? 1 : 0)}`;
    const answer = await app.request(url, { method: "HEAD", headers: BROWSER });
    expect(answer.status).toBe(purpose === "click" ? 302 : 200);
    expect(answer.headers.get("location")).toBe(purpose === "click" ? "https://example.com/a?b=1&c=2" : null);
    expect(await answer.text()).toBe("");
    expect(await events(m.id)).toEqual([]);
    expect(await message(m.id)).toMatchObject({ opened_at: null, clicked_at: null });
  });
  test("HEAD on the unsubscribe link changes nothing, and other methods are refused", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    const url = `/links/u/${await m.token("unsubscribe")}`;
    expect((await app.request(url, { method: "HEAD", headers: BROWSER })).status).toBe(200);
    for (const method of ["PUT", "DELETE", "OPTIONS"]) expect((await app.request(url, { method })).status).toBe(404);
    expect(await suppressed(team, m.to)).toBe(false);
    expect(await events(m.id)).toEqual([]);
  });
  test("a prefetch is kept as a machine's, and the person's own click after it counts", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    const url = `/links/c/${await m.token("click", 1)}`;
    await app.request(url, { headers: { ...BROWSER, "sec-purpose": "prefetch" } });
    expect((await message(m.id)).clicked_at).toBeNull();
    await app.request(url, { headers: BROWSER });
    expect((await message(m.id)).clicked_at).not.toBeNull();
    expect((await events(m.id)).map((e) => e.is_bot)).toEqual([true, false]);
  });
});

describe("tracked link", () => {
  test("leads where the author said, and counts as a click and an open", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    const answer = await app.request(`/links/c/${await m.token("click", 1)}`, { headers: BROWSER });
    expect(answer.status).toBe(302);
    expect(answer.headers.get("location")).toBe("https://example.com/a?b=1&c=2");
    const row = await message(m.id);
    expect(row.clicked_at).not.toBeNull();
    expect(row.opened_at).not.toBeNull();
  });
  test("cannot be turned into a redirect to somewhere else", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    const good = await m.token("click", 1);
    // A query changes nothing: the token alone says where the link leads.
    const query = await app.request(`/links/c/${good}?url=https://evil.example`, { headers: BROWSER });
    expect(query.headers.get("location")).toBe("https://example.com/a?b=1&c=2");
    const flipped = good.replace(/.$/, (c) => (c === "A" ? "B" : "A"));
    const bad = [await m.token("click", 2), await m.token("open", 1), flipped, "x"];
    const statuses = [];
    for (const token of bad) statuses.push((await app.request(`/links/c/${token}`, { headers: BROWSER })).status);
    expect(statuses).toEqual([410, 404, 404, 404]);
  });
});

describe("unsubscribe", () => {
  test("GET shows and changes nothing: scanners follow every link", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    const answer = await app.request(`/links/u/${await m.token("unsubscribe")}`, { headers: BROWSER });
    expect(answer.status).toBe(200);
    const text = await answer.text();
    expect(text).toContain('<form method="post">');
    expect(text).not.toContain(m.to);
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await suppressed(team, m.to)).toBe(false);
  });
  test("POST acts, once or often, as one-click by a mail program or by the button", async () => {
    const team = await t.tenant();
    const m = await sent(team);
    const url = `/links/u/${await m.token("unsubscribe")}`;
    for (let i = 0; i < 2; i++) {
      const answer = await app.request(url, {
        method: "POST",
        body: "List-Unsubscribe=One-Click",
        headers: { "content-type": "application/x-www-form-urlencoded" },
      });
      expect(answer.status).toBe(200);
    }
    expect(await suppressed(team, m.to)).toBe(true);
    expect((await message(m.id)).unsubscribed_at).not.toBeNull();
    expect(await events(m.id)).toEqual([{ kind: "unsubscribed", is_bot: false }]);
  });
  test("suppresses only in the team that wrote", async () => {
    const [team, other] = [await t.tenant(), await t.tenant()];
    const m = await sent(team);
    await app.request(`/links/u/${await m.token("unsubscribe")}`, { method: "POST" });
    expect(await suppressed(other, m.to)).toBe(false);
  });
  test("a team's name cannot inject HTML into the page", async () => {
    const team = await t.tenant(`<script>alert(1)</script> ${uuid7().slice(-6)}`);
    const m = await sent(team);
    const text = await (await app.request(`/links/u/${await m.token("unsubscribe")}`)).text();
    expect(text).not.toContain("<script>");
    expect(text).toContain("&lt;script&gt;");
  });
});

describe("tokens", () => {
  test("read back what they hold, only for their purpose and installation", async () => {
    const content = { tenantId: uuid7(), messageId: uuid7(), number: 513 };
    const token = await linkToken(t.kernel.vault, "click", content);
    expect(token).toMatch(/^[\w-]{88}$/);
    expect(await readLinkToken(t.kernel.vault, "click", token)).toEqual(content);
    expect(await readLinkToken(t.kernel.vault, "unsubscribe", token)).toBeNull();
  });
});

describe("what is sent", () => {
  const prepared = async (options: { track_opens?: boolean; track_clicks?: boolean }) => {
    const draft = {
      html: '<p>See <a href="https://example.com/?a=1&amp;b=2">this</a> and <a href="mailto:x@example.com">me</a></p>',
      in_reply_to: null,
      headers: {},
    };
    const whose = {
      services: { config: t.kernel.config, vault: t.kernel.vault },
      tenantId: uuid7(),
      messageId: uuid7(),
    };
    const stored = await prepare({
      ...whose,
      from: { address: "sam@us.test", name: "Sam", profile: {} },
      rendered: { missing: [], faults: [], subject: "Hello", text: "See https://example.com/?a=1&b=2", draft },
      options,
    });
    const message = { ...stored, ...(await complete(stored, whose)) };
    return { ...message.email!, html: message.email!.html!, text: message.text, links: message.links };
  };
  test("always carries one-click unsubscribe headers and a line in both parts", async () => {
    const mail = await prepared({});
    expect(mail.headers["List-Unsubscribe"]).toMatch(/^<https?:\/\/[^>]+\/links\/u\/[\w-]{88}>$/);
    expect(mail.headers["List-Unsubscribe-Post"]).toBe("List-Unsubscribe=One-Click");
    const url = mail.headers["List-Unsubscribe"]!.slice(1, -1);
    expect(mail.html).toContain(url);
    expect(mail.text).toContain(url);
  });
  test("without tracking there is no pixel and no rewritten link", async () => {
    const mail = await prepared({ track_opens: false, track_clicks: false });
    expect(mail.html).not.toContain("/links/o/");
    expect(mail.html).toContain('href="https://example.com/?a=1&amp;b=2"');
    expect(mail.links).toEqual([]);
  });
  test("with tracking web links are rewritten, others stay, and the target is kept unescaped", async () => {
    const mail = await prepared({ track_opens: true, track_clicks: true });
    expect(mail.links).toEqual([{ number: 1, url: "https://example.com/?a=1&b=2" }]);
    expect(mail.html).toContain("/links/c/");
    expect(mail.html).toContain("/links/o/");
    expect(mail.html).toContain('href="mailto:x@example.com"');
    expect(mail.text).toContain("https://example.com/?a=1&b=2");
  });
});
