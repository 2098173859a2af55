import { describe, expect, it } from "vitest";
import { blockedBy } from "../../kernel/channel.ts";
import { conformance, customKeys as keys, person, services } from "../conformance.ts";
import { type MergeRow, valuesOf } from "../variables.ts";
import { email } from "./channel.ts";
import type { EmailContent } from "./content.ts";
import { lint } from "./lint.ts";
import { compile, render as renderTemplate, threading } from "./template.ts";

conformance(email, {
  addresses: [
    [" Ada@Example.COM ", "ada@example.com"],
    ["Ada Lovelace <ada@example.com>", "ada@example.com"],
    ["mailto:ada@example.com", "ada@example.com"],
  ],
  senders: [["Sam@US.test", "sam@us.test"]],
  junk: ["ada", "ada@", "@example.com", "a b@example.com", "ada@example.com\nBcc: x@y.z", "+4915112345678"],
  template: (text) => ({ subject: text, body: text }),
  long: (body) => ({ subject: "s", body }),
  fields: ["subject", "body"],
  refused: [{ template: { subject: "{{title|}}", body: "b" }, row: {}, fault: "subject_empty" }],
  outgoing(message, content) {
    const { subject, message_id, headers, html } = content as EmailContent;
    return { lines: [message.subject, subject, message_id, ...Object.entries(headers).flat()], markup: [html] };
  },
  from: { address: "sam@us.test", name: "Sam", profile: { reply_to: "team@us.test" } },
  options: { track_opens: true, track_clicks: true },
  inbound: (text, details) => ({
    provider_inbound_id: details,
    from: { address: `${details}@example.com`, name: details },
    to: [`${details}@us.test`],
    text,
    details: {
      subject: details,
      html: details,
      headers: { references: details, "in-reply-to": details, "reply-to": details, [details.slice(0, 500)]: details },
      rfc_message_id: details,
    },
  }),
  kinds: [
    ["Sounds good", "reply"],
    ["", "reply"],
  ],
});

const first = { references: [], subject: null };
const render = (body: string, row: Partial<MergeRow> = {}, subject = "Hi", showMissing = false) => {
  const out = renderTemplate(compile({ subject, body }, { customKeys: keys, first: true }), {
    valueOf: valuesOf({ ...person, ...row }),
    thread: first,
    showMissing,
  });
  return { ...out, html: out.draft.html };
};
const errors = (body: string, subject = "Hi") =>
  compile({ subject, body }, { customKeys: keys, first: true }).faults.filter((f) => f.level === "error");

describe("variables", () => {
  it.each([
    ["{{firstName}}", "Ada"],
    ["{{first_name}}", "Ada"],
    ["{{ FIRSTNAME }}", "Ada"],
    ["{{title|your role}}", "your role"],
    ["{{title|}}!", "!"],
    ["{{custom.plan}}", "pro"],
    ["{{custom.seats}}", "0"],
    ["{{custom.active}}", "false"],
    ["{{dealValue}}", "1200"],
    ["{{senderFirstName}}", "Sam"],
    ["{{senderEmail}}", "sam@us.test"],
    ["{{senderAddress}}", "sam@us.test"],
    ["{{company}}", "Acme & Söhne"],
  ])("%s becomes %s", (source, text) => {
    const out = render(source);
    expect(out.text).toBe(text);
    expect(out.missing).toEqual([]);
  });

  it("a value that is missing and has no fallback is named, whatever the spelling", () => {
    expect(render("{{title}} {{first_name}} {{job_title}} {{custom.empty}}").missing).toEqual([
      "title",
      "custom.empty",
    ]);
    expect(render("x", {}, "For {{companySize}}").missing).toEqual(["companySize"]);
  });

  it("an unknown name is an error that names what was probably meant", () => {
    expect(errors("{{fristName}}")[0]!.detail).toContain("{{firstName}}");
    expect(errors("{{custom.plans}}")[0]!.detail).toContain("{{custom.plan}}");
    expect(errors("x", "{{companyNmae}}")[0]).toMatchObject({ field: "subject", id: "variable_unknown" });
    expect(errors("{{constructor}} {{__proto__}} {{custom.toString}}")).toHaveLength(3);
  });

  it.each(["{{firstName", "firstName}}", "{{a{{b}}c}}", "{{}}", "{{|x}}"])("%s is an error", (source) => {
    expect(errors(source).length).toBeGreaterThan(0);
  });
});

describe("hostile values", () => {
  const evil =
    "<img src=x onerror=alert(1)> [click](https://evil.test) **b** `c` \"q\" 'q'\r\nBcc: all@evil.test\u0000\u2028\ue0000\ue001";

  it("cannot make markup, links or headers", () => {
    const out = render(
      "Hello **{{firstName}}**\n\n- {{firstName}}\n\n# {{firstName}}",
      { first_name: evil },
      "Hi {{firstName}}",
    );
    expect(out.html).not.toMatch(/<img|<a |<code|href=/);
    expect(out.html).toContain(
      "&lt;img src=x onerror=alert(1)&gt; [click](https://evil.test) **b** `c` &quot;q&quot; &#39;q&#39; Bcc: all@evil.test",
    );
    // oxlint-disable-next-line no-control-regex
    expect(out.subject).not.toMatch(/[\r\n\u0000\u2028\ue000-\ue004]/);
    expect(out.html.match(/<strong>|<li>|<h1>/g)).toEqual(["<strong>", "<li>", "<h1>"]);
  });

  it("stay one component inside a link", () => {
    const out = render("[x](https://a.test/p/{{firstName}}?d={{companyDomain}}&e=1)", {
      first_name: '"/../><script>',
      company_domain: "a&b=c#d",
    });
    expect(out.html).toBe('<p><a href="https://a.test/p/%22%2F..%2F%3E%3Cscript%3E?d=a%26b%3Dc%23d&amp;e=1">x</a></p>');
  });

  it("as a whole link must be a web address", () => {
    expect(render("[x]({{custom.site}})", { custom: { site: "acme.test/a b" } }).html).toBe(
      '<p><a href="https://acme.test/a%20b">x</a></p>',
    );
    for (const site of ["javascript:alert(1)", "data:text/html,x", "https://user:pw@evil.test", "http://"]) {
      expect(render("[x]({{custom.site}})", { custom: { site } }).missing, site).toEqual([
        "custom.site (is not a web address)",
      ]);
    }
  });

  it("a value that looks like a variable is text", () => {
    expect(render("{{firstName}}", { first_name: "{{email}}" }).text).toBe("{{email}}");
  });
});

describe("the body", () => {
  it("shows HTML as text and refuses links that run", () => {
    const body =
      "<script>x</script> <b onclick=y>z</b>\n\n<div>\n\n[a](javascript:alert(1)) [b](/relative) ![c](http://a.test/i.png)";
    const out = render(body);
    expect(out.html).not.toMatch(/<script|<b |<div|javascript:|<a |<img/);
    expect(errors(body).map((f) => f.id)).toEqual(["link_target", "link_target", "image_target"]);
  });

  it("is the same letter in both parts", () => {
    const out = render(
      "Hi {{firstName}},\nsee [our page](https://a.test/x?y=1&z=2) or https://b.test.\n\n    indented\n\n1. one\n2. two\n\nBest\n--\n{{senderName}}",
    );
    expect(out.text).toBe(
      "Hi Ada,\nsee our page (https://a.test/x?y=1&z=2) or https://b.test.\n\nindented\n\n 1. one\n 2. two\n\nBest\n--\nSam Jones",
    );
    expect(out.html).toContain('<a href="https://b.test">https://b.test</a>.');
    expect(out.html).toContain("<p>Best<br>--<br>Sam Jones</p>");
  });

  it("hints at long subjects, spam words and forgotten placeholders", () => {
    expect(compile({ subject: "x".repeat(79), body: "b" }, { customKeys: keys, first: true }).faults).toMatchObject([
      { level: "warning", id: "subject_long" },
    ]);
    const hints = lint({ subject: "RE: ACT NOW TODAY", body: "Dear [First Name] {firstName}, act now" });
    expect(hints.map((h) => `${h.field} ${h.level} ${h.id}`)).toEqual([
      "subject warning spam_words",
      "body warning spam_words",
      "body warning single_braces",
      "body warning placeholder",
      "subject warning subject_capitals",
      "subject warning subject_reply",
    ]);
    expect(lint({ subject: "A question", body: "Hi {{firstName}}, see [your page](https://a.test)" })).toEqual([]);
  });

  it("of a length and depth that no letter has is refused before it is parsed", () => {
    const ids = (body: string) => errors(body).map((f) => f.id);
    expect(ids("*a_".repeat(7000))).toContain("markup_dense");
    expect(ids("!".repeat(50_000))).toContain("markup_dense");
    expect(ids("http://a(".repeat(5000))).toContain("markup_dense");
    expect(ids("> ".repeat(2000))).toContain("markup_deep");
    expect(ids("1. ".repeat(2000))).toContain("markup_deep");
    expect(ids(Array.from({ length: 200 }, (_, i) => `${"  ".repeat(i)}- a`).join("\n"))).toContain("markup_deep");
    expect(ids("a\n".repeat(2001))).toContain("lines_many");
  });

  it("with thousands of unknown variables names the first twenty", () => {
    const body = "{{abc}}".repeat(5000);
    expect(errors(body).filter((f) => f.id === "variable_unknown")).toHaveLength(20);
  });

  it("of a long newsletter is not", () => {
    const item =
      "- **News**: *something* happened, see [our page](https://example.com/a_b_c?x=1) or write to us@example.com!\n";
    const paragraph = `${"A sentence with _emphasis_, **weight** and [a link](https://example.com). ".repeat(10)}\n\n`;
    expect(errors(`${item.repeat(100)}\n${paragraph.repeat(40)}`)).toEqual([]);
    expect(errors("> a\n> > b\n> > > c\n\n- a\n  - b\n    - c\n      1. d")).toEqual([]);
  });
});

describe("a subject", () => {
  const faults = (subject: string, isFirst: boolean) =>
    compile({ subject, body: "b" }, { customKeys: keys, first: isFirst }).faults.map((f) => f.id);
  it("is needed where nothing was said before, by the author and by each person", () => {
    expect(faults("", true)).toEqual(["subject_empty"]);
    expect(faults("", false)).toEqual([]);
    const compiled = compile({ subject: "", body: "b" }, { customKeys: keys, first: false });
    const valueOf = valuesOf(person);
    expect(blockedBy(renderTemplate(compiled, { valueOf, thread: first }))).toBe("The subject is empty.");
    const followUp = renderTemplate(compiled, { valueOf, thread: { references: ["<1@us.test>"], subject: "Hello" } });
    expect(blockedBy(followUp)).toBeNull();
    expect(followUp).toMatchObject({ subject: "Re: Hello", draft: { in_reply_to: "<1@us.test>" } });
  });
});

describe("the message", () => {
  const body =
    "See [a](https://a.test/?x=1&y=2), [a again](https://a.test/?x=1&y=2), [b](https://b.test) and [mail](mailto:a@b.test)";
  const whose = {
    services,
    tenantId: "018f0000-0000-7000-8000-000000000001",
    messageId: "018f0000-0000-7000-8000-000000000002",
  };
  const stored = (options: Record<string, unknown>, profile: Record<string, unknown> = {}, text = body) =>
    email.prepare({
      ...whose,
      from: { address: "sam@us.test", name: "Sam", profile },
      rendered: renderTemplate(compile({ subject: "", body: text }, { customKeys: keys, first: false }), {
        valueOf: valuesOf(person),
        thread: { references: ["<1@us.test>"], subject: "Hello" },
      }),
      options,
    });
  /** As it leaves. */
  const prepare = async (options: Record<string, unknown>, profile: Record<string, unknown> = {}, text = body) => {
    const message = await stored(options, profile, text);
    return { ...message, ...(await email.complete!(message, whose)) };
  };
  // Addresses copied out of HTML. Decoded once, as CommonMark has it: where the link leads, and what stands in the text part.
  it.each([
    ["[amp](https://example.com/amp?x=1&amp;y=2)", "https://example.com/amp?x=1&y=2"],
    ["Bare https://example.com/bareamp?x=1&amp;y=2 end", "https://example.com/bareamp?x=1&y=2"],
    ["<https://example.com/?x=1&amp;y=2>", "https://example.com/?x=1&y=2"],
    ["[ref][1]\n\n[1]: https://example.com/?x=1&amp;y=2", "https://example.com/?x=1&y=2"],
    ["[plain](https://example.com/?x=1&y=2)", "https://example.com/?x=1&y=2"],
    ["[decimal](https://example.com/?x=1&#38;y=2)", "https://example.com/?x=1&y=2"],
    ["[hex](https://example.com/?x=1&#x26;y=2)", "https://example.com/?x=1&y=2"],
    ["[upper](https://example.com/?x=1&AMP;y=2)", "https://example.com/?x=1&y=2"],
    ["[twice](https://example.com/?x=1&amp;amp;y=2)", "https://example.com/?x=1&amp;y=2"],
    ["[no reference](https://example.com/?a&copy=1&lt=2&amp=3)", "https://example.com/?a&copy=1&lt=2&amp=3"],
    ["[fragment](https://example.com/p?x=1&amp;y=2#a&amp;b)", "https://example.com/p?x=1&y=2#a&b"],
    [
      "[letters](https://example.com/ü?q=ä&amp;r=日本#ö)",
      "https://example.com/%C3%BC?q=%C3%A4&r=%E6%97%A5%E6%9C%AC#%C3%B6",
    ],
    ["[encoded](https://example.com/a%26b?x=%C3%A4&amp;y)", "https://example.com/a%26b?x=%C3%A4&y"],
    ["[quote](https://example.com/?x=&quot;a&quot;)", "https://example.com/?x=%22a%22"],
    [
      "[value](https://example.com/?n={{firstName|x}}&amp;y=2)",
      `https://example.com/?n=${encodeURIComponent(valuesOf(person)("firstName")!)}&y=2`,
    ],
    ["[no character](https://example.com/?x=&#0;&#xD800;&#xE000;)", "https://example.com/?x=&#0;&#xD800;&#xE000;"],
  ])("%s leads to %s", async (text, target) => {
    const tracked = await stored({ track_clicks: true }, {}, text);
    expect(tracked.links).toEqual([{ number: 1, url: target }]);
    const untracked = await stored({}, {}, text);
    const href = /<a href="([^"]*)"/.exec(untracked.email!.html!)![1]!;
    expect(href.replaceAll("&quot;", '"').replaceAll("&amp;", "&")).toBe(target);
  });
  it("a reference cannot make a link of another scheme", () => {
    expect(errors("[a](javascript&#58;alert(1))").map((f) => f.id)).toEqual(["link_target"]);
    expect(errors("[a](&#106;avascript:alert(1))").map((f) => f.id)).toEqual(["link_target"]);
  });
  it("is stored without any token: who reads the ledger cannot unsubscribe its people or click for them", async () => {
    const options = { track_clicks: true, track_opens: true };
    const [kept, sent] = [JSON.stringify(await stored(options)), JSON.stringify(await prepare(options))];
    const tokens = sent.match(/[\w-]{88}/g)!;
    // The line in both parts, the header, three links and the pixel.
    expect(tokens).toHaveLength(7);
    for (const token of tokens) expect(kept).not.toContain(token);
    expect(kept).not.toMatch(/[\w-]{88}/);
    expect(kept).toContain("https://overture.test/links/u/0");
  });
  it("leaves links of the same form elsewhere, and our own within another, as their author wrote them", async () => {
    const elsewhere = "https://example.com/links/u/0";
    const within = "https://example.com/?to=https://overture.test/links/u/0";
    const out = await prepare({}, {}, `See ${elsewhere} and [this](${within}) and ${within}`);
    for (const text of [out.text, out.email!.html!]) {
      expect(text).toContain(elsewhere);
      expect(text).toContain(within);
      // The line to unsubscribe has it all the same.
      expect(text).toMatch(/https:\/\/overture\.test\/links\/u\/[\w-]{88}/);
    }
  });
  it("is quoted in an answer without its tokens, whatever rewrote the links", async () => {
    const link = (await prepare({})).email!.headers["List-Unsubscribe"]!.slice(1, -1);
    const token = link.slice(-88);
    const rewritten = `https://scan.test/?url=${encodeURIComponent(link)}&data=1`;
    const answer = email.readInbound({
      provider_inbound_id: "in-1",
      from: { address: "ada@example.com", name: "Ada" },
      to: ["sam@us.test"],
      text: `Sure\n\nOn Monday Sam wrote:\n> unsubscribe here: ${link}\n> ${rewritten}`,
      details: {
        subject: "Re: Hello",
        html: `<a href="${link}">unsubscribe</a> <a href="${rewritten}">again</a>`,
        headers: { "list-unsubscribe": `<${link}>` },
        rfc_message_id: "<a@example.com>",
      },
    });
    expect(answer.full_text).toContain("https://overture.test/links/u/-");
    expect(JSON.stringify(answer)).not.toContain(token);
  });
  it("has both one-click headers, the thread's, a Message-ID of the sender's domain and a line to unsubscribe", async () => {
    const out = await prepare({});
    const [, link] = /<(https:\/\/overture\.test\/links\/u\/[\w-]{88})>/.exec(out.email!.headers["List-Unsubscribe"]!)!;
    expect(out.email).toMatchObject({
      rfc_message_id: "<018f0000-0000-7000-8000-000000000002@us.test>",
      in_reply_to: "<1@us.test>",
      reply_to: null,
      headers: {
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "In-Reply-To": "<1@us.test>",
        References: "<1@us.test>",
      },
    });
    expect(out.text).toContain(link);
    expect(out.email!.html).toContain(`<a href="${link}"`);
    expect(out).toMatchObject({ subject: "Re: Hello", links: [] });
    expect(out.email!.html).not.toMatch(/<img|links\/[co]\//);
  });
  it("tracks each target once, never mail links, and only where the campaign asks for it", async () => {
    const out = await prepare({ track_clicks: true, track_opens: true }, { reply_to: "team@us.test" });
    expect(out.links).toEqual([
      { number: 1, url: "https://a.test/?x=1&y=2" },
      { number: 2, url: "https://b.test" },
    ]);
    const html = out.email!.html!;
    expect(html.match(/links\/c\/[\w-]{88}/g)).toHaveLength(3);
    expect(new Set(html.match(/links\/c\/[\w-]{88}/g))).toHaveProperty("size", 2);
    expect(html.match(/links\/o\/[\w-]{88}/g)).toHaveLength(1);
    expect(html).toContain('href="mailto:a@b.test"');
    expect(out.text).toContain("https://a.test/?x=1&y=2");
    expect(out.email!.reply_to).toBe("team@us.test");
  });
  it("a row of the ledger without details is an error, not an empty mail", async () => {
    expect(() => email.content({ subject: "s", text: "t", content: {}, email: null })).toThrow(/details/);
  });
});

describe("threading", () => {
  it("golden: first message, follow-up, second follow-up, a new subject", () => {
    expect(threading("Hello", { references: [], subject: null })).toEqual({
      subject: "Hello",
      in_reply_to: null,
      headers: {},
    });
    expect(threading("", { references: ["<1@us.test>"], subject: "Hello" })).toEqual({
      subject: "Re: Hello",
      in_reply_to: "<1@us.test>",
      headers: { "In-Reply-To": "<1@us.test>", References: "<1@us.test>" },
    });
    expect(threading("", { references: ["<1@us.test>", "<2@us.test>"], subject: "Re: Hello" })).toEqual({
      subject: "Re: Hello",
      in_reply_to: "<2@us.test>",
      headers: { "In-Reply-To": "<2@us.test>", References: "<1@us.test> <2@us.test>" },
    });
    expect(threading("Another", { references: ["<1@us.test>"], subject: "Hello" })).toEqual({
      subject: "Another",
      in_reply_to: null,
      headers: {},
    });
  });
  it("References keep the first and the latest, however long the thread", () => {
    const references = Array.from({ length: 50 }, (_, i) => `<${i}@us.test>`);
    const kept = threading("", { references, subject: "Hello" }).headers.References!.split(" ");
    expect(kept).toEqual([references[0], ...references.slice(-19)]);
  });
});
