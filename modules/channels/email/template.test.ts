import { describe, expect, it } from "vitest";
import { estimateDays } from "./check.ts";
import { lintSteps } from "./lint.ts";
import { compileStep, renderStep, threading } from "./render.ts";
import type { MergeRow } from "./variables.ts";

const person: MergeRow = {
  email: "ada@acme.test",
  first_name: "Ada",
  last_name: "Lovelace",
  full_name: "Ada Lovelace",
  title: "",
  phone: null,
  whatsapp_number: null,
  linkedin_url: null,
  country: null,
  time_zone: null,
  deal_value: 1200,
  company_name: "Acme & Söhne",
  company_domain: "acme.test",
  company_size: null,
  company_industry: null,
  company_country: null,
  custom: { plan: "pro", seats: 0, active: false, empty: "" },
  sender_name: "Sam Jones",
  sender_email: "sam@us.test",
};
const keys = new Set(["plan", "seats", "active", "empty", "site"]);
const render = (body: string, row: Partial<MergeRow> = {}, subject = "Hi") =>
  renderStep(compileStep({ subject, body }, keys), { ...person, ...row });
const errors = (body: string, subject = "Hi") =>
  compileStep({ subject, body }, keys).faults.filter((f) => f.level === "error");

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
        "custom.site (not a web address)",
      ]);
    }
  });

  it("a value that looks like a variable is text", () => {
    expect(render("{{firstName}}", { first_name: "{{email}}" }).text).toBe("{{email}}");
  });
});

describe("the body", () => {
  it("shows HTML as text and refuses links that run", () => {
    const t = compileStep(
      {
        subject: "s",
        body: "<script>x</script> <b onclick=y>z</b>\n\n<div>\n\n[a](javascript:alert(1)) [b](/relative) ![c](http://a.test/i.png)",
      },
      keys,
    );
    const out = renderStep(t, person);
    expect(out.html).not.toMatch(/<script|<b |<div|javascript:|<a |<img/);
    expect(t.faults.filter((f) => f.level === "error").map((f) => f.id)).toEqual([
      "link_target",
      "link_target",
      "image_target",
    ]);
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
    expect(compileStep({ subject: "x".repeat(79), body: "b" }, keys).faults).toMatchObject([
      { level: "warning", id: "subject_long" },
    ]);
    expect(
      lintSteps([{ subject: "RE: ACT NOW TODAY", body: "Dear [First Name] {firstName}" }]).map((l) => l.id),
    ).toEqual(["spam_words", "subject_capitals", "subject_reply", "single_braces", "placeholder"]);
    expect(lintSteps([{ subject: "A question", body: "Hi {{firstName}}" }])).toEqual([]);
  });
});

describe("threading", () => {
  it("golden: first message, follow-up, second follow-up, a new subject", () => {
    expect(threading("Hello", { message_ids: [], subject: null })).toEqual({
      subject: "Hello",
      in_reply_to: null,
      headers: {},
    });
    expect(threading("", { message_ids: ["<1@us.test>"], subject: "Hello" })).toEqual({
      subject: "Re: Hello",
      in_reply_to: "<1@us.test>",
      headers: { "In-Reply-To": "<1@us.test>", References: "<1@us.test>" },
    });
    expect(threading("", { message_ids: ["<1@us.test>", "<2@us.test>"], subject: "Re: Hello" })).toEqual({
      subject: "Re: Hello",
      in_reply_to: "<2@us.test>",
      headers: { "In-Reply-To": "<2@us.test>", References: "<1@us.test> <2@us.test>" },
    });
    expect(threading("Another", { message_ids: ["<1@us.test>"], subject: "Hello" })).toEqual({
      subject: "Another",
      in_reply_to: null,
      headers: {},
    });
  });
});

describe("the estimate", () => {
  it("is bound by the cap on sending days, or by the waits", () => {
    expect(estimateDays({ people: 500, steps: 1, wait_hours: 0, daily_cap: 50, days_a_week: 7 })).toBe(10);
    expect(estimateDays({ people: 500, steps: 1, wait_hours: 0, daily_cap: 50, days_a_week: 5 })).toBe(14);
    expect(estimateDays({ people: 10, steps: 3, wait_hours: 168, daily_cap: 50, days_a_week: 7 })).toBe(8);
  });
});
