import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { linkCompanies, writeEnrichedCompanies, writeEnrichedContacts } from "./enriched.ts";

const t = testKernel();
const contact = async (team: Awaited<ReturnType<typeof t.tenant>>, values: object) =>
  (await team.api("POST", "/contacts", values)).body.id as string;

test("a column that changed since the decision keeps what somebody wrote, the others are written", async () => {
  const team = await t.tenant();
  const id = await contact(team, { email: "ada@one.example", title: "Chief" });
  const written = await team.run((ctx) =>
    writeEnrichedContacts(ctx.db, [
      { id, set: { title: [null, "CEO"], first_name: [null, "Ada"], country: [null, "DE"] } },
    ]),
  );
  expect(written.get(id)!.sort()).toEqual(["country", "first_name"]);
  expect((await team.api("GET", `/contacts/${id}`)).body).toMatchObject({
    title: "Chief",
    first_name: "Ada",
    country: "DE",
    status: "enriched",
  });
});

test("a found address goes to one contact, and to none when somebody has it", async () => {
  const team = await t.tenant();
  await contact(team, { email: "taken@one.example" });
  const [a, b, c] = [
    await contact(team, { first_name: "A", last_name: "X" }),
    await contact(team, { first_name: "B", last_name: "X" }),
    await contact(team, { first_name: "C", last_name: "X" }),
  ];
  const written = await team.run((ctx) =>
    writeEnrichedContacts(ctx.db, [
      { id: a, set: { email: [null, "taken@one.example"], title: [null, "T"] } },
      { id: b, set: { email: [null, "new@one.example"] } },
      { id: c, set: { email: [null, "new@one.example"] } },
    ]),
  );
  expect(written.get(a)).toEqual(["title"]);
  expect([b, c].filter((id) => written.get(id)?.includes("email"))).toHaveLength(1);
});

test("companies are found by domain, made once for many, and their own fields follow the same rules", async () => {
  const team = await t.tenant();
  const ids = [await contact(team, { email: "a@two.example" }), await contact(team, { email: "b@two.example" })];
  const linked = await team.run((ctx) =>
    linkCompanies(
      ctx.db,
      ctx.tenantId,
      ids.map((contact_id) => ({ contact_id, company_name: "Two", company_domain: "two.example" })),
    ),
  );
  const [company, same] = ids.map((id) => linked.get(id)!);
  expect(same).toBe(company);
  await contact(team, { email: "c@three.example", company_name: "Three", company_domain: "three.example" });
  const written = await team.run((ctx) =>
    writeEnrichedCompanies(ctx.db, [
      {
        id: company!,
        set: { industry: [null, "Software"], name: ["Other", "New"], domain: ["two.example", "three.example"] },
      },
    ]),
  );
  expect(written.get(company!)).toEqual(["industry"]);
});
