import { z } from "zod";
import { pickFirst } from "../answer.ts";
import type { Found } from "../vocabulary.ts";

/** ZoomInfo's contacts and companies: what is asked for, what comes back, and what is read from it. */

/** What is asked for, as far as the subscription has it. */
export const CONTACT_FIELDS = [
  "id",
  "firstName",
  "lastName",
  "email",
  "phone",
  "directPhoneDoNotCall",
  "mobilePhone",
  "mobilePhoneDoNotCall",
  "jobTitle",
  "jobFunction",
  "managementLevel",
  "externalUrls",
  "city",
  "country",
  "personHasMoved",
  "contactAccuracyScore",
  "companyName",
  "companyWebsite",
  "companyPrimaryIndustry",
  "companyEmployeeCount",
  "companyEmployeeRange",
  "companyRevenueNumeric",
  "companyPhone",
  "companyCity",
  "companyCountry",
  "companySocialMediaUrls",
];
export const COMPANY_FIELDS = [
  "id",
  "name",
  "website",
  "primaryIndustry",
  "employeeCount",
  "employeeRange",
  "revenue",
  "foundedYear",
  "phone",
  "city",
  "country",
  "socialMediaUrls",
  "descriptionList",
];

const text = z.string().nullish();
const number = z.number().nullish();
const flag = z.union([z.boolean(), z.string()]).nullish();
const texts = z.union([z.string(), z.array(z.string())]).nullish();
const links = z.array(z.object({ url: text })).nullish();
export const Company = z.object({
  id: number,
  name: text,
  website: text,
  primaryIndustry: texts,
  employeeCount: number,
  employeeRange: text,
  revenue: z.union([z.number(), z.string()]).nullish(),
  revenueNumeric: number,
  foundedYear: z.union([z.number(), z.string()]).nullish(),
  phone: text,
  city: text,
  country: text,
  socialMediaUrls: links,
  descriptionList: z.array(z.object({ description: text })).nullish(),
});
export const Contact = z.object({
  id: number,
  firstName: text,
  lastName: text,
  email: text,
  phone: text,
  directPhoneDoNotCall: flag,
  mobilePhone: text,
  mobilePhoneDoNotCall: flag,
  jobTitle: text,
  jobFunction: z.array(z.object({ name: text, department: text })).nullish(),
  managementLevel: texts,
  externalUrls: links,
  city: text,
  country: text,
  /** `Yes`, `No`, `Uncertain`. */
  personHasMoved: text,
  contactAccuracyScore: z.number().min(0).max(100).nullish(),
  company: Company.nullish(),
});
export const body = <T extends z.ZodType>(record: T) =>
  z.object({
    // Failures come with a status of 200 as well.
    success: z.literal(true),
    data: z.object({ result: z.array(z.object({ data: z.array(record).nullish(), matchStatus: text })) }),
  });

const first = (value: string | string[] | null | undefined) => (typeof value === "string" ? value : value?.[0]);
const linkedin = (of: z.infer<typeof links>) => of?.find(({ url }) => url && /linkedin\.com/i.test(url))?.url;
const isSet = (value: boolean | string | null | undefined) => String(value).toLowerCase() === "true";

/** `revenue` of a company is in thousands, `revenueNumeric` of a contact's company is not. */
export const companyValues = (c: z.infer<typeof Company> | null | undefined): Found["values"] =>
  c
    ? {
        company_name: c.name,
        company_domain: c.website,
        company_industry: first(c.primaryIndustry),
        company_employees: c.employeeCount,
        company_size: c.employeeRange,
        company_revenue: pickFirst(c.revenueNumeric, typeof c.revenue === "number" ? c.revenue * 1000 : undefined),
        company_founded: c.foundedYear,
        company_phone: c.phone,
        company_city: c.city,
        company_country: c.country,
        company_linkedin_url: linkedin(c.socialMediaUrls),
        company_description: c.descriptionList?.[0]?.description,
      }
    : {};

/**
 * Its score, 75 to 99, is how likely the contact is reachable and still with the company; 80 is assumed where it is not given. Less sure is
 * a contact who was matched without the company asked for, and one who has moved on.
 */
export function contactFound(c: z.infer<typeof Contact>, status: string | null | undefined): Found {
  const score = (c.contactAccuracyScore ?? 80) / 100;
  const matched = status === "CONTACT_ONLY_MATCH" ? score * 0.7 : score;
  return {
    confidence: c.personHasMoved?.toLowerCase() === "yes" ? Math.min(matched, 0.4) : Math.max(0.01, matched),
    values: {
      email: c.email,
      first_name: c.firstName,
      last_name: c.lastName,
      title: c.jobTitle,
      seniority: first(c.managementLevel),
      department: pickFirst(c.jobFunction?.[0]?.department, c.jobFunction?.[0]?.name),
      // A number on a do-not-call list is not given.
      phone: pickFirst(
        isSet(c.directPhoneDoNotCall) ? null : c.phone,
        isSet(c.mobilePhoneDoNotCall) ? null : c.mobilePhone,
      ),
      linkedin_url: linkedin(c.externalUrls),
      city: c.city,
      country: c.country,
      ...companyValues(c.company),
    },
  };
}
