import { createHash } from "node:crypto";

/**
 * The invented people and companies of which all emulated data providers speak: each knows a part of them, and most of what two of them
 * know agrees. The same address or domain is always the same person or company; names nobody knows begin with `nobody` or `unknown`.
 */

export type DirectoryCompany = {
  name: string;
  domain: string;
  industry: string;
  employees: number;
  founded: number;
  country: string;
  city: string;
  phone: string;
  linkedin_url: string;
  description: string;
  revenue: number;
  technologies: readonly string[];
};

export type DirectoryPerson = {
  first_name: string;
  last_name: string;
  email: string;
  title: string;
  seniority: string;
  department: string;
  phone: string;
  linkedin_url: string;
  country: string;
  city: string;
  email_status: "valid" | "invalid" | "catch_all" | "risky";
  company: DirectoryCompany;
};

/** What a question may name a person by. */
export type PersonRef = {
  email?: string | undefined;
  first_name?: string | undefined;
  last_name?: string | undefined;
  domain?: string | undefined;
  company_name?: string | undefined;
  linkedin_url?: string | undefined;
};

const FIRST = ["Ada", "Bruno", "Chiara", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Klara", "Liam"];
const LAST = ["Berg", "Conti", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jansen", "Kowalski", "Lind"];
const JOBS = [
  ["Chief Executive Officer", "c_level", "management"],
  ["VP of Sales", "vp", "sales"],
  ["Head of Marketing", "head", "marketing"],
  ["Director of Engineering", "director", "engineering"],
  ["IT Manager", "manager", "it"],
  ["Senior Accountant", "senior", "finance"],
  ["Recruiter", "entry", "hr"],
] as const;
const INDUSTRIES = ["Software", "Logistics", "Machinery", "Retail", "Insurance", "Consulting", "Food production"];
const PLACES = [
  ["DE", "Berlin", "+4930"],
  ["FR", "Paris", "+331"],
  ["GB", "London", "+4420"],
  ["US", "Boston", "+1617"],
  ["NL", "Utrecht", "+3130"],
] as const;
const TECHNOLOGIES = ["Salesforce", "HubSpot", "Shopify", "WordPress", "Stripe", "Google Analytics", "React", "Nginx"];

const number = (seed: string): number => createHash("sha256").update(seed).digest().readUInt32BE(0);
const pick = <T>(items: readonly T[], seed: string): T => items[number(seed) % items.length]!;
const title = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase();
const slug = (text: string): string =>
  text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
const unknownName = (text: string): boolean => /^(nobody|unknown)/.test(text.toLowerCase());

/** Null: there is no such company. */
export function companyAt(domain: string): DirectoryCompany | null {
  const host = domain.toLowerCase();
  if (!host.includes(".") || unknownName(host)) return null;
  const name = title(host.split(".")[0]!);
  const [country, city, dial] = pick(PLACES, `place:${host}`);
  return {
    name,
    domain: host,
    industry: pick(INDUSTRIES, `industry:${host}`),
    employees: 5 + (number(`employees:${host}`) % 3000),
    founded: 1950 + (number(`founded:${host}`) % 70),
    country,
    city,
    phone: `${dial}${5550000 + (number(`phone:${host}`) % 9999)}`,
    linkedin_url: `https://www.linkedin.com/company/${slug(name)}`,
    description: `${name} is a ${pick(INDUSTRIES, `industry:${host}`).toLowerCase()} company in ${city}.`,
    revenue: 100_000 * (1 + (number(`revenue:${host}`) % 900)),
    technologies: TECHNOLOGIES.filter((t) => number(`${t}:${host}`) % 3 === 0),
  };
}

/** Null: there is no such person. An address `first.last@…` is that person's; other addresses have a name of their own. */
export function personOf(ref: PersonRef): DirectoryPerson | null {
  const linkedin = /linkedin\.com\/in\/([a-z]+)-([a-z]+)-at-([a-z0-9-]+)/i.exec(ref.linkedin_url ?? "");
  if (!ref.email && linkedin)
    return personOf({
      first_name: title(linkedin[1]!),
      last_name: title(linkedin[2]!),
      domain: linkedin[3]!.replace(/-(?=[a-z]+$)/, "."),
    });
  const domain = (
    ref.email?.split("@")[1] ??
    ref.domain ??
    (ref.company_name ? `${slug(ref.company_name)}.com` : "")
  ).toLowerCase();
  const company = companyAt(domain);
  if (!company) return null;
  const local = ref.email?.split("@")[0]?.toLowerCase();
  if (local !== undefined && unknownName(local)) return null;
  if (local === undefined && (!ref.first_name || !ref.last_name || unknownName(ref.last_name))) return null;
  // A number behind the name tells namesakes apart.
  const parts = local?.replace(/\d+$/, "").split(/[._-]/) ?? [];
  const named = parts.length === 2 && parts.every((p) => /^[a-z]{2,}$/.test(p));
  const first =
    local === undefined ? ref.first_name! : named ? title(parts[0]!) : pick(FIRST, `first:${local}@${domain}`);
  const last = local === undefined ? ref.last_name! : named ? title(parts[1]!) : pick(LAST, `last:${local}@${domain}`);
  const email = ref.email?.toLowerCase() ?? `${slug(first)}.${slug(last)}@${domain}`;
  const [job, seniority, department] = pick(JOBS, `job:${email}`);
  const n = number(`status:${email}`) % 20;
  return {
    first_name: first,
    last_name: last,
    email,
    title: job,
    seniority,
    department,
    phone: `${company.phone.slice(0, -4)}${1000 + (number(`ext:${email}`) % 9000)}`,
    linkedin_url: `https://www.linkedin.com/in/${slug(first)}-${slug(last)}-at-${slug(domain)}`,
    country: company.country,
    city: company.city,
    email_status: n === 0 ? "invalid" : n === 1 ? "risky" : n < 4 ? "catch_all" : "valid",
    company,
  };
}

/** Whether a provider knows of a subject, as it does of `share` (0 to 1) of all. Everybody knows `famous.com` and its people. */
export const knows = (provider: string, subject: string, share: number): boolean =>
  subject.toLowerCase().endsWith("famous.com") ||
  (number(`${provider}:${subject.toLowerCase()}`) % 1000) / 1000 < share;
