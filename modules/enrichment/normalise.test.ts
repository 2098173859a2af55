import { describe, expect, test } from "vitest";
import { keyOf, weigh } from "./confidence.ts";
import { nameCase, normaliseFound, titleCase } from "./normalise.ts";
import { departmentOf, seniorityOf, sizeRange } from "./taxonomy.ts";

const normal = (values: object, country: string | null = null) =>
  normaliseFound({ values, confidence: 1 }, { country, year: 2026 });

describe("normal form", () => {
  test.each([
    ["ada", "Ada"],
    ["o'brien", "O'Brien"],
    ["VAN DER BERG", "Van der Berg"],
    ["jean-luc de la tour", "Jean-Luc de la Tour"],
    ["McDonald", "McDonald"],
    ["müller-lüdenscheidt", "Müller-Lüdenscheidt"],
    ["IBM", "IBM"],
  ])("the name %s is written %s", (raw, name) => expect(nameCase(raw)).toBe(name));

  test.each([
    ["vp of sales", "VP of Sales"],
    ["chief executive officer (ceo)", "Chief Executive Officer (CEO)"],
    ["head of r&d", "Head of R&D"],
    ["Leiterin Einkauf", "Leiterin Einkauf"],
  ])("the title %s is written %s", (raw, title) => expect(titleCase(raw)).toBe(title));

  test("phones are read in the person's country, countries by their names in many languages", () => {
    expect(normal({ phone: "030 1234567", country: "Deutschland" })).toMatchObject({
      phone: "+49301234567",
      country: "DE",
    });
    expect(normal({ phone: "01 42 68 53 00" }, "FR")).toMatchObject({ phone: "+33142685300" });
    expect(normal({ phone: "12345" })).toEqual({});
    expect(normal({ country: "Narnia" })).toEqual({});
  });

  test("what is none of its kind is dropped, never guessed", () => {
    expect(
      normal({
        email: "not an address",
        linkedin_url: "https://example.com/in/x",
        company_domain: "no domain",
        company_founded: 3000,
        company_employees: -4,
      }),
    ).toEqual({});
    expect(normal({ email: " Ada@Example.COM ", linkedin_url: "linkedin.com/in/Ada-L/" })).toEqual({
      email: "ada@example.com",
      linkedin_url: "https://www.linkedin.com/in/ada-l",
    });
  });

  test("markup, control characters and texts without end are data of bounded length", () => {
    expect(normal({ title: `<script>Alert(1)</script>\u0000\u202e` }).title).toBe("<script>Alert(1)</script>");
    expect(normal({ title: "x".repeat(5000) })).toEqual({});
    expect(
      (
        normal({ company_technologies: Array.from({ length: 900 }, (_, i) => `T${i}`) })
          .company_technologies as string[]
      ).length,
    ).toBe(200);
  });

  test("an employee count gives the range of the size", () => {
    expect(normal({ company_employees: 51 })).toMatchObject({ company_employees: 51, company_size: "51-200" });
    expect(["11-50", "501 - 1,000 employees", "10,001+", "1.001-5.000", "unknown"].map(sizeRange)).toEqual([
      "11-50",
      "501-1000",
      "10001+",
      "1001-5000",
      null,
    ]);
  });
});

describe("the taxonomy of titles", () => {
  test.each([
    ["Geschäftsführer", "c_level", "management"],
    ["Inhaberin", "owner", "management"],
    ["Leiter Vertrieb", "head", "sales"],
    ["Directrice marketing", "director", "marketing"],
    ["Directeur général", "c_level", null],
    ["Responsabile acquisti", "manager", null],
    ["Kierownik działu sprzedaży", "head", "sales"],
    ["VP Engineering", "vp", "engineering"],
    ["Vice President of Finance", "vp", "finance"],
    ["Co-Founder & CTO", "founder", "engineering"],
    ["Senior Software Engineer", "senior", "engineering"],
    ["Partner Manager", "manager", null],
    ["Managing Director", "c_level", "management"],
    ["Werkstudent IT", "intern", "it"],
    ["Head of People & Culture", "head", "hr"],
    ["Baker", null, null],
  ])("%s is %s in %s", (title, level, department) => {
    expect(seniorityOf(null, title)).toBe(level);
    expect(departmentOf(null, title)).toBe(department);
  });

  test("a level that the provider names outranks the title", () => {
    expect(seniorityOf("cxo", "Senior Manager")).toBe("c_level");
    expect(seniorityOf("C-Level", null)).toBe("c_level");
    expect(seniorityOf("nonsense", "Director of Sales")).toBe("director");
  });
});

describe("confidence", () => {
  const now = new Date("2026-06-01T00:00:00Z");
  const at = (days: number) => new Date(now.getTime() - days * 86_400_000);

  test("agreement raises it, age lowers it, a rival lowers it, and nobody is certain", () => {
    const one = weigh([{ value: "CTO", confidence: 0.6, at: now }], now);
    expect(one[0]!.confidence).toBeCloseTo(0.6);
    const two = weigh(
      [
        { value: "CTO", confidence: 0.6, at: now },
        { value: "cto", confidence: 0.6, at: now },
      ],
      now,
    );
    expect(two[0]!.confidence).toBeCloseTo(0.84);
    expect(weigh([{ value: "CTO", confidence: 0.6, at: at(365) }], now)[0]!.confidence).toBeCloseTo(0.3);
    const rivals = weigh(
      [
        { value: "CTO", confidence: 0.6, at: now },
        { value: "CEO", confidence: 0.8, at: now },
      ],
      now,
    );
    expect(rivals.map((r) => [r.value, Number(r.confidence.toFixed(2))])).toEqual([
      ["CEO", 0.56],
      ["CTO", 0.36],
    ]);
    expect(
      weigh(
        [1, 2, 3].map(() => ({ value: "x", confidence: 1, at: now })),
        now,
      )[0]!.confidence,
    ).toBe(0.99);
  });

  test("two lists of the same technologies are one value, whatever their order", () => {
    expect(keyOf(["React", "nginx"])).toBe(keyOf(["NGINX", "react"]));
  });
});
