import { readFile } from "node:fs/promises";
import { addContacts, expect, test, toast, pick } from "./support.ts";

const people = (count: number, domain: string) =>
  Array.from({ length: count }, (_, n) => ({
    email: `person${String(n).padStart(3, "0")}@${domain}`,
    first_name: n % 2 ? "Olga" : "Noah",
    last_name: `Fischer ${n}`,
    title: n % 3 ? "Head of Finance" : "Engineer",
    company_name: n % 4 ? "Northwind" : "Contoso",
    tags: n % 5 ? [] : ["vip"],
  }));

test("search and filters live in the address, survive a reload, and select exactly what they show", async ({
  page,
  account,
}) => {
  await addContacts(account, [
    ...people(130, "acme.example"),
    { email: "yo.al@acme.example", first_name: "Yo", last_name: "Al" },
    { email: "mayor@acme.example", first_name: "Mayor", last_name: "Royal" },
  ]);
  await page.goto("/contacts");
  const table = page.getByRole("region", { name: "Contacts" });
  await expect(page.getByText("100 of 132 loaded")).toBeVisible();

  await page.keyboard.press("/");
  await page.keyboard.type("olga finance");
  await expect(page).toHaveURL(/search=olga\+finance/);
  await expect(table.getByRole("link", { name: /Olga/ }).first()).toBeVisible();
  await expect(table.getByRole("link", { name: /Noah/ })).toHaveCount(0);
  await pick(page.getByRole("combobox", { name: "Tag", exact: true }), "VI", "vip");
  await expect(page).toHaveURL(/tag=vip/);
  const footer = page.getByText(/ loaded$/);
  await expect(footer).toHaveText("9 loaded");
  await page.reload();
  await expect(footer).toHaveText("9 loaded");
  await expect(page.getByLabel("Search name, email, title")).toHaveValue("olga finance");
  await expect(page.getByRole("combobox", { name: "Tag", exact: true })).toHaveValue("vip");
  await page.getByRole("button", { name: "Clear filters" }).click();
  await expect(page).toHaveURL(/\/contacts$/);

  await test.step("everything that matches, loaded or not, changes at once", async () => {
    await page.getByLabel("Search name, email, title").fill("fischer");
    await expect(page.getByText("100 of 130 loaded")).toBeVisible();
    await page.getByRole("checkbox", { name: "Select all loaded" }).click();
    await page.getByRole("button", { name: "Select all 130 that match" }).click();
    await expect(page.getByRole("region", { name: "Selection" })).toContainText("130 selected");
    await page.getByRole("button", { name: "Tag", exact: true }).click();
    await page.getByRole("dialog").getByLabel("Tag").fill("autumn");
    await page.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
    await expect(toast(page, "130 contacts changed")).toBeVisible();
    expect((await account.api("GET", "/contacts/count?tag=autumn")).count).toBe(130);
  });

  await test.step("a search of short words selects the beginnings of words only", async () => {
    await page.getByLabel("Search name, email, title").fill("yo al");
    await expect(footer).toHaveText("1 loaded");
    await expect(table.getByRole("link", { name: "Yo Al" })).toBeVisible();
  });

  await test.step("a row opens beside the table and is edited there", async () => {
    await table.getByRole("row").nth(1).getByText("yo.al@acme.example").click();
    const drawer = page.getByRole("dialog", { name: "Yo Al" });
    await drawer.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Job title").fill("Chief of Staff");
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByRole("dialog").getByText("Chief of Staff")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(table.getByText("Chief of Staff")).toBeVisible();
  });

  await test.step("a company shows its people", async () => {
    await page.getByRole("link", { name: "Companies" }).click();
    await page.getByRole("button", { name: "Contoso" }).click();
    const drawer = page.getByRole("dialog", { name: "Contoso" });
    await drawer.getByLabel("Industry").fill("Logistics");
    await drawer.getByRole("button", { name: "Save" }).click();
    await expect(toast(page, "Company saved")).toBeVisible();
    await page.keyboard.press("Escape");
    const row = page.getByRole("row", { name: /Contoso/ });
    await expect(row).toContainText("Logistics");
    await row.getByRole("link").click();
    await expect(page.getByRole("button", { name: "At Contoso" })).toBeVisible();
    await expect(footer).toHaveText("33 loaded");
  });
});

test("a messy CSV becomes contacts, and its bad rows come back as a file", async ({ page, account }) => {
  await account.api("POST", "/lists", { name: "Trade fair" });
  const csv = [
    "\uFEFFE-Mail;Vorname;Nachname;Firma;Stadt;Notizen",
    'anna@kunde.example;Anna;"Müller; geb. Groß";Kunde GmbH;Köln;"Zeile eins\nZeile zwei"',
    "  BERT@kunde.example ;Bert;Öztürk;Kunde GmbH;Bonn;",
    "anna@kunde.example;Anna;Doppelt;Kunde GmbH;Köln;zweimal",
    "keine-adresse;Kaputt;Zeile;;;",
    ";Ohne;Adresse;;;",
    'carla@kunde.example;Carla;"<img src=x onerror=alert(1)>";=1+1;;',
  ].join("\r\n");

  await page.goto("/contacts");
  await page.getByRole("link", { name: "Import", exact: true }).click();
  await page
    .getByLabel("CSV file")
    .setInputFiles({ name: "messe köln.csv", mimeType: "text/csv", buffer: Buffer.from(csv, "utf8") });
  await expect(page.getByRole("heading", { name: "Match the columns" })).toBeVisible();
  await expect(page.getByText('delimiter ";"')).toBeVisible();
  await expect(page.getByLabel("Field for E-Mail")).toHaveValue("email");

  // Two columns to one field are refused before anything happens.
  await page.getByLabel("Field for Vorname").selectOption("first_name");
  await page.getByLabel("Field for Nachname").selectOption("first_name");
  await expect(page.getByText(/Two columns go to the same field/)).toBeVisible();
  await expect(page.getByRole("button", { name: "Start the import" })).toBeDisabled();
  await page.getByLabel("Field for Nachname").selectOption("last_name");
  await page.getByLabel("Field for Firma").selectOption("company_name");
  await page.getByLabel("Field for Stadt").selectOption({ label: 'New custom field "stadt"' });
  await page.getByLabel("Field for Notizen").selectOption("");
  await pick(page.getByRole("combobox", { name: "Add all contacts to a list" }), "fair", "Trade fair");
  await page.getByLabel("Consent source").fill("Trade fair");
  await page.getByRole("button", { name: "Start the import" }).click();

  await expect(page.getByText(/^Finished/)).toBeVisible();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: /Download \d+ rejected rows?/ }).click(),
  ]);
  const errors = await readFile(await download.path(), "utf8");
  expect(errors).toContain("keine-adresse");
  expect(errors).not.toContain("BERT");

  await page.getByRole("link", { name: "See the contacts" }).click();
  const table = page.getByRole("region", { name: "Contacts" });
  await expect(table.getByRole("link", { name: /Anna Müller; geb\. Groß/ })).toBeVisible();
  await expect(table.getByText("bert@kunde.example")).toBeVisible();
  // Markup from a file is text everywhere it shows; the watch fails on any dialog.
  await expect(table.getByText("Carla <img src=x onerror=alert(1)>")).toBeVisible();
  await table.getByText("Carla <img src=x onerror=alert(1)>").click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Carla <img src=x onerror=alert(1)>");
});

test("a file in an old encoding shows how it reads, another one can be chosen, and the result says what was left out", async ({
  page,
}) => {
  // "Иван" and "Ольга" in KOI8-R.
  const bytes = (text: string) => [...new TextEncoder().encode(text)];
  const csv = Buffer.from([
    ...[...bytes("email,first_name,phone\nivan@kunde.example,"), 0xe9, 0xd7, 0xc1, 0xce, ...bytes(",none\n")],
    ...[...bytes("olga@kunde.example,"), 0xef, 0xcc, 0xd8, 0xc7, 0xc1, ...bytes(",+4930901820\nnobody,X,\n")],
  ]);
  await page.goto("/contacts/import");
  await page.getByLabel("CSV file").setInputFiles({ name: "kunden.csv", mimeType: "text/csv", buffer: csv });
  const rows = page.getByRole("table", { name: "First rows of the file" });
  const encoding = page.getByLabel("Encoding of the file");
  await encoding.selectOption("windows-1252");
  await expect(rows.getByText("é×ÁÎ")).toBeVisible();
  await expect(page.getByRole("alert")).toContainText("choose another encoding");
  await encoding.selectOption("koi8-r");
  await expect(rows.getByText("Иван")).toBeVisible();
  await expect(page.getByRole("alert")).toHaveCount(0);
  await page.getByRole("button", { name: "Start the import" }).click();

  await expect(page.getByText(/^Finished/)).toBeVisible();
  const reasons = page.getByRole("table", { name: "Reasons" });
  await expect(reasons.getByText("is not an email address")).toBeVisible();
  await expect(reasons.getByText(/is not a phone number/)).toBeVisible();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download 1 warning" }).click(),
  ]);
  expect(await readFile(await download.path(), "utf8")).toContain("none");
  await page.goto("/contacts?search=Ольга");
  await expect(page.getByText("olga@kunde.example")).toBeVisible();
});
