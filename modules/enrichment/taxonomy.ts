/** Words of job titles, in the languages of the markets the product is used in, brought to one list of levels and one of departments. */

export const SENIORITIES = [
  "owner",
  "founder",
  "c_level",
  "partner",
  "vp",
  "head",
  "director",
  "manager",
  "senior",
  "entry",
  "intern",
] as const;
export type Seniority = (typeof SENIORITIES)[number];

export const DEPARTMENTS = [
  "management",
  "sales",
  "marketing",
  "engineering",
  "it",
  "product",
  "design",
  "data",
  "finance",
  "hr",
  "legal",
  "operations",
  "support",
] as const;
export type Department = (typeof DEPARTMENTS)[number];

/** Levels as providers write them. */
const LEVELS: Record<string, Seniority> = {
  cxo: "c_level",
  c_suite: "c_level",
  "c-suite": "c_level",
  "c-level": "c_level",
  "c level": "c_level",
  executive: "c_level",
  "vice president": "vp",
  "vp-level": "vp",
  board: "c_level",
  "non-manager": "entry",
  training: "entry",
  junior: "entry",
  staff: "entry",
  unpaid: "intern",
  lead: "head",
};

/** The first that fits counts, so that a vice president is no president and a founder who leads is a founder. */
const TITLE_LEVELS: readonly [Seniority, RegExp][] = [
  [
    "intern",
    /\b(intern|internship|trainee|apprentice|working student)\b|praktikant|werkstudent|auszubildende|stagiaire|alternant|tirocinante|stażyst|becari[oa]/u,
  ],
  ["founder", /\b(co-?)?founder\b|gründer|fondat(eur|rice)|fundador|fondatore|założyciel|oprichter/u],
  ["owner", /\b(owner|proprietor)\b|inhaber|propriétaire|propietari[oa]|titolare|właściciel|eigenaar/u],
  ["vp", /\b(s|e|a)?vp\b|vice[- ]president|vizepräsident|vice-président|vicepresident/u],
  [
    "c_level",
    /\bc[a-z]o\b|\bchief\b|geschäftsführ|vorstand|managing director|directeur général|pdg\b|director general|director ejecutivo|amministratore delegato|prezes|directielid|\bpresident\b|\bpräsident/u,
  ],
  ["partner", /\b(managing |senior |equity )?partner(in)?\b(?! (manager|success|marketing|sales))|associé|\bsocio\b/u],
  [
    "head",
    /\bhead of\b|\bleiter(in)?\b|(bereichs|abteilungs|team|vertriebs|marketing)leit|chef(fe)? d|\blead\b|hoofd|kierownik działu/u,
  ],
  ["director", /director|direktor|directeur|directrice|direttore|direttrice|dyrektor/u],
  ["manager", /manager|\bgerente\b|responsable|responsabile|kierownik|supervisor|\bleitung\b/u],
  ["senior", /\b(senior|sr\.?|principal|staff|expert)\b/u],
  ["entry", /\b(junior|jr\.?|assistant|associate|entry)\b|assistenz|assistent/u],
];

const DEPARTMENT_WORDS: readonly [Department, RegExp][] = [
  [
    "hr",
    /human resources|\bhr\b|people (&|and|ops|operations|partner)|talent|recruit|personal(leit|wesen|abteilung)|ressources humaines|\brh\b|recursos humanos|risorse umane/u,
  ],
  ["marketing", /marketing|\bcmo\b|brand|content|\bseo\b|communications?|kommunikation|growth/u],
  [
    "sales",
    /sales|vertrieb|account (executive|manager)|business develop|ventes|commercial|ventas|vendite|sprzeda|\bcro\b|revenue/u,
  ],
  ["product", /\bproduct\b|produkt|\bcpo\b|produit|producto/u],
  ["design", /design|\bux\b|\bui\b|creative/u],
  ["data", /\bdata\b|analytics|machine learning|\bai\b|business intelligence/u],
  [
    "it",
    /\bit\b|information technology|\bcio\b|\bciso\b|systems? admin|infrastructure|security officer|informatik|informatique/u,
  ],
  [
    "engineering",
    /engineer|develop(er|ment)|software|\bcto\b|technical|technology|entwickl|ingenieur|ingénieur|architect|devops|research_and_development|r&d/u,
  ],
  ["finance", /financ|\bcfo\b|account(ing|ant)|controll|buchhalt|comptab|tesor|treasur|finanz/u],
  ["legal", /legal|counsel|lawyer|jurist|juridique|rechts|compliance|abogad/u],
  ["support", /support|customer (success|service|care)|kundenservice|kundendienst|service client/u],
  [
    "operations",
    /operations|\bcoo\b|logisti|supply chain|procurement|einkauf|production|produktion|betrieb|manufactur/u,
  ],
  [
    "management",
    /\bceo\b|\bowner\b|founder|geschäftsführ|managing director|general manag|management|executive|president|pdg\b|vorstand|inhaber/u,
  ],
];

const words = (text: string): string => text.toLowerCase().normalize("NFC").replaceAll("_", " ").trim();

/** The level a provider named, else the one its title tells. Null: neither says. */
export function seniorityOf(level: string | null, title: string | null): Seniority | null {
  const raw = level === null ? "" : level.toLowerCase().trim();
  const named = raw.replaceAll(/[\s-]+/g, "_");
  if ((SENIORITIES as readonly string[]).includes(named)) return named as Seniority;
  const known = LEVELS[raw] ?? LEVELS[named];
  if (known) return known;
  for (const text of [raw, title ?? ""]) {
    const found = text && TITLE_LEVELS.find(([, pattern]) => pattern.test(words(text)));
    if (found) return found[0];
  }
  return null;
}

/** The department a provider named, else the one its title tells. Null: neither says. */
export function departmentOf(named: string | null, title: string | null): Department | null {
  const raw = named === null ? "" : words(named);
  const same = raw.replaceAll(" ", "_");
  if ((DEPARTMENTS as readonly string[]).includes(same)) return same as Department;
  for (const text of [raw, title ?? ""]) {
    const found = text && DEPARTMENT_WORDS.find(([, pattern]) => pattern.test(words(text)));
    if (found) return found[0];
  }
  return null;
}

export const SIZES = [
  [10, "1-10"],
  [50, "11-50"],
  [200, "51-200"],
  [500, "201-500"],
  [1000, "501-1000"],
  [5000, "1001-5000"],
  [10_000, "5001-10000"],
  [Number.POSITIVE_INFINITY, "10001+"],
] as const;

/** The range a number of employees lies in. */
export const sizeOf = (employees: number): string => SIZES.find(([most]) => employees <= most)![1];

/** A range as providers write it (`51-200`, `501 - 1,000 employees`, `10,001+`); null: none. By its lower end, as ranges differ. */
export function sizeRange(text: string): string | null {
  const numbers = [...text.replaceAll(/[,.'\u00a0](?=\d{3})/g, "").matchAll(/\d+/g)].map(([n]) => Number(n));
  const [low, high] = numbers;
  if (low === undefined) return null;
  return sizeOf(high ?? low + (/\+/.test(text) ? 1 : 0));
}
