import { type Draft, normal } from "./finding.ts";
import { type Page, readable, sentencesOf, speaksToMachines } from "./page.ts";
import { isoDate } from "../providers/answers.ts";
import { signalIn } from "./signals.ts";

/** What a page of the company's own website says, by rules alone. Every finding has the words it was read from. */

type Told = Pick<Draft, "kind" | "statement" | "quote" | "confidence"> & Partial<Draft>;

/** A company's own structured data is meant for programs; its prose less so. */
const STRUCTURED = 90;
const PROSE = 75;
const HEADING = 60;

const OURS =
  /(?<![\p{L}])(?:we|our|us|wir|unser\p{L}*|uns|nous|notre|nos|nosotros|nuestr\p{L}+|noi|nostr\p{L}+|wij|ons|onze|vi|vår\p{L}*|my|nasz\p{L}*|nós|noss\p{L}+)(?![\p{L}])/iu;
const FOUNDED =
  /(?<![\p{L}])(?:founded|established|gegründet|fondée?|créée?|fundada|fundado|fondata|fondato|opgericht|grundat|grundades|założona|założony)(?![\p{L}])[^.!?]{0,40}?(?<!\d)(1[89]\d\d|20\d\d)(?!\d)/iu;
const STAFF =
  /(?<![\p{L}\d.,-])(\d{1,3}(?:[.,\u00a0 ]\d{3})+|\d{1,6})\s?\+?\s(?:(?:full-time|dedicated|talented|motivierte|engagierte)\s)?(?:employees|people|colleagues|team members|mitarbeiter(?:innen)?|mitarbeitende[nr]?|beschäftigte|kolleg(?:en|innen)|collaborateurs|salariés|employés|empleados|trabajadores|dipendenti|collaboratori|medewerkers|anställda|pracowników|colaboradores|funcionários)(?![\p{L}])/iu;
/** Numbers of people that are not the company's own. */
const NOT_STAFF =
  /(?<![\p{L}])(?:companies|businesses|firms|teams|unternehmen mit|entreprises|empresas|aziende|bedrijven|with (?:fewer|more|less)|from|between|customers|kunden|clients|clientes|clienti|helped|trained|helfen|geschult)(?![\p{L}])/iu;

const number = (text: string): number => Number(text.replace(/\D/g, ""));

/** Findings in the running text. `signals`: also what is only news (home, news and about pages). */
export function factsInText(page: Page, name: string, kind: string): Draft[] {
  const drafts: Draft[] = [];
  const add = (told: Told) => void drafts.push({ provider: "website", url: page.url, ...told });
  const thisYear = new Date().getUTCFullYear();
  const about = normal(name);
  const published = page.published ? isoDate(page.published) : null;
  for (const block of page.blocks) {
    if (speaksToMachines(block.text)) continue;
    for (const sentence of sentencesOf(block.text, page.lang)) {
      if (sentence.length > 500) continue;
      const ours = OURS.test(sentence) || (about !== "" && ` ${normal(sentence)} `.includes(` ${about} `));
      const founded = ours ? FOUNDED.exec(sentence) : null;
      const year = Number(founded?.[1]);
      if (founded && year <= thisYear)
        add({
          kind: "fact",
          statement: `${name} was founded in ${year}.`,
          quote: sentence,
          confidence: PROSE,
          data: { field: "founded", value: year },
          same: `founded|${year}`,
        });
      const staff = ours && !NOT_STAFF.test(sentence) ? STAFF.exec(sentence) : null;
      if (staff && number(staff[1]!) > 0)
        add({
          kind: "fact",
          statement: `${name} says it has ${number(staff[1]!)} people.`,
          quote: sentence,
          confidence: PROSE,
          data: { field: "employees", value: number(staff[1]!) },
          same: `employees|${number(staff[1]!)}`,
        });
      if (kind === "careers" || kind === "products") continue;
      const signal = signalIn(sentence);
      if (signal)
        add({
          ...signal,
          statement: sentence,
          quote: sentence,
          confidence: ours ? PROSE : HEADING,
          published_at: published,
        });
    }
  }
  return drafts.slice(0, 100);
}

/** The description that the page gives of itself, and the products its headings name. */
export function factsInHead(page: Page, name: string, kind: string): Draft[] {
  const drafts: Draft[] = [];
  const base = { provider: "website", url: page.url };
  if (kind === "home" && page.description.length >= 20 && !speaksToMachines(page.description))
    drafts.push({
      ...base,
      kind: "fact",
      statement: `${name} describes itself: ${page.description}`,
      quote: page.description,
      confidence: STRUCTURED,
      data: { field: "description" },
      same: `description|${normal(page.description)}`,
    });
  if (kind === "products")
    for (const { text } of page.blocks
      .filter((b) => b.heading && b.text.length >= 3 && b.text.length <= 80)
      .slice(1, 13))
      if (!speaksToMachines(text) && !/[.?!:]$/.test(text))
        drafts.push({
          ...base,
          kind: "product",
          statement: `${name} names under its products: ${text}`,
          quote: text,
          confidence: HEADING,
          data: { field: "product", value: text },
          same: `product|${normal(text)}`,
        });
  return drafts;
}

type Json = Record<string, unknown>;
const MAX_NODES = 500;

/** Objects of JSON-LD, whatever they are nested in. Texts that are no JSON have none. */
function nodesIn(text: string): Json[] {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return [];
  }
  const found: Json[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (depth > 8 || found.length >= MAX_NODES || typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) {
      for (const one of value) visit(one, depth + 1);
      return;
    }
    found.push(value as Json);
    for (const one of Object.values(value)) visit(one, depth + 1);
  };
  visit(root, 0);
  return found;
}

const typesOf = (node: Json): string[] => [node["@type"]].flat().filter((t): t is string => typeof t === "string");
const textOf = (value: unknown): string => (typeof value === "string" ? readable(value.slice(0, 1000)) : "");

/** `"key": value` as it stands in the source; empty where it is not found. */
function verbatim(source: string, key: string): string {
  const at = source.indexOf(`"${key}"`);
  const pair = /^"\w+"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?[\d.]+|\{[^{}]*\}|\[[^[\]]*\])/.exec(source.slice(at, at + 400));
  return at < 0 || !pair ? "" : readable(pair[0]);
}

const ORGANISATION =
  /^(?:Organization|Corporation|LocalBusiness|OnlineBusiness|NGO|ProfessionalService|.*Organization|.*Business)$/;

/** Schema.org data that the page carries for search engines. */
export function factsInStructured(page: Page, name: string): Draft[] {
  const drafts: Draft[] = [];
  for (const source of page.structured) {
    const add = (key: string, told: Omit<Told, "quote" | "confidence">) => {
      const quote = verbatim(source, key);
      if (quote && !speaksToMachines(told.statement) && !speaksToMachines(quote))
        drafts.push({ provider: "website", url: page.url, quote, confidence: STRUCTURED, ...told });
    };
    for (const node of nodesIn(source)) {
      const types = typesOf(node);
      if (types.some((t) => ORGANISATION.test(t))) organisation(node, name, add);
      if (types.includes("JobPosting")) {
        const title = textOf(node.title).slice(0, 120);
        if (title && !speaksToMachines(title))
          drafts.push({
            kind: "hiring",
            statement: `${name} is hiring: ${title}`,
            quote: title,
            url: page.url,
            confidence: STRUCTURED,
            provider: "website",
            published_at: isoDate(textOf(node.datePosted)),
            data: { title },
            same: `job|${normal(title)}`,
          });
      }
      if (types.some((t) => ["Product", "SoftwareApplication", "Service"].includes(t))) {
        const title = textOf(node.name).slice(0, 120);
        if (title && !speaksToMachines(title))
          drafts.push({
            kind: "product",
            statement: `${name} offers ${title}.`,
            quote: title,
            url: page.url,
            confidence: STRUCTURED,
            provider: "website",
            data: { field: "product", value: title },
            same: `product|${normal(title)}`,
          });
      }
    }
  }
  return drafts.slice(0, 60);
}

function organisation(
  node: Json,
  name: string,
  add: (key: string, told: Omit<Told, "quote" | "confidence">) => void,
): void {
  const year = Number(
    /^(1[89]\d\d|20\d\d)/.exec(textOf(node.foundingDate))?.[1] ??
      (typeof node.foundingDate === "number" ? node.foundingDate : Number.NaN),
  );
  if (year >= 1800 && year <= new Date().getUTCFullYear())
    add("foundingDate", {
      kind: "fact",
      statement: `${name} was founded in ${year}.`,
      data: { field: "founded", value: year },
      same: `founded|${year}`,
    });
  const staff = node.numberOfEmployees as Json | number | string | undefined;
  const count = Number(typeof staff === "object" && staff !== null ? (staff.value ?? staff.minValue) : staff);
  if (Number.isInteger(count) && count > 0 && count < 5_000_000)
    add("numberOfEmployees", {
      kind: "fact",
      statement: `${name} says it has ${count} people.`,
      data: { field: "employees", value: count },
      same: `employees|${count}`,
    });
  for (const one of [node.address].flat().slice(0, 10)) {
    const address = (one ?? {}) as Json;
    const city = textOf(address.addressLocality).slice(0, 80);
    const country = textOf(
      typeof address.addressCountry === "object" ? (address.addressCountry as Json)?.name : address.addressCountry,
    );
    const place = [city, country.slice(0, 60)].filter((p) => p !== "").join(", ");
    if (city)
      add("addressLocality", {
        kind: "fact",
        statement: `${name} has an office in ${place}.`,
        data: { field: "location", value: place },
        same: `location|${normal(place)}`,
      });
  }
}
