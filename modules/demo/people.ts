/** Invented people for the demo. Deterministic, so that two demos can be compared; all on reserved domains. */

const FIRST = [
  "Ada",
  "Björn",
  "Chloé",
  "Dmitri",
  "Elena",
  "Farid",
  "Grace",
  "Hiro",
  "Ines",
  "Jonas",
  "Kofi",
  "Lucía",
  "Mei",
  "Noah",
  "Olga",
  "Priya",
  "Quentin",
  "Rosa",
  "Samir",
  "Tove",
  "Uma",
  "Viktor",
  "Wanda",
  "Ximena",
  "Yusuf",
  "Zofia",
];
const LAST = [
  "Andersson",
  "Bauer",
  "Costa",
  "Dubois",
  "Eriksen",
  "Fischer",
  "García",
  "Haddad",
  "Ito",
  "Janssen",
  "Kowalska",
  "Lopez",
  "Moreau",
  "Novak",
  "Okafor",
  "Petrov",
  "Quinn",
  "Rossi",
  "Silva",
  "Tanaka",
  "Ueda",
  "Varga",
  "Weber",
  "Xu",
  "Yilmaz",
  "Zhang",
];
const TITLES = [
  "Head of Operations",
  "VP Sales",
  "CTO",
  "Founder",
  "Marketing Lead",
  "Head of Data",
  "COO",
  "Procurement Manager",
];
const COMPANIES = [
  "Northwind Freight",
  "Blue Heron Labs",
  "Kestrel Analytics",
  "Alder & Oak",
  "Tidewater Robotics",
  "Lumen Foods",
  "Granite Health",
  "Paperplane Travel",
  "Copperfield Energy",
  "Juniper Logistics",
  "Solstice Media",
  "Harbor Insurance",
];
const COUNTRIES = ["SE", "DE", "FR", "PT", "NO", "ES", "IT", "NL", "PL", "JP"];

type DemoPerson = {
  email: string;
  /** Null past the end of the numbers that are reserved for fiction. */
  phone: string | null;
  first_name: string;
  last_name: string;
  title: string;
  company_name: string;
  company_domain: string;
  country: string;
};

const ascii = (text: string) =>
  text
    .normalize("NFD")
    .replace(/[^a-zA-Z]/g, "")
    .toLowerCase();
const slug = (text: string) => text.toLowerCase().replace(/[^a-z]+/g, "-");

/** Area codes of North America; each has a hundred numbers for fiction, 555-0100 to 555-0199. */
const FICTION_AREAS = 700;

/** Person number `n` of a crowd; the same number gives the same person. */
export function demoPerson(n: number): DemoPerson {
  const first = FIRST[n % FIRST.length]!;
  const last = LAST[(n * 7 + Math.floor(n / FIRST.length)) % LAST.length]!;
  const company = COMPANIES[(n * 5) % COMPANIES.length]!;
  const domain = `${slug(company)}.example`;
  return {
    email: `${ascii(first)}.${ascii(last)}${n}@${domain}`,
    phone: n < FICTION_AREAS * 100 ? `+1${201 + Math.floor(n / 100)}55501${String(n % 100).padStart(2, "0")}` : null,
    first_name: first,
    last_name: last,
    title: TITLES[(n * 3) % TITLES.length]!,
    company_name: company,
    company_domain: domain,
    country: COUNTRIES[n % COUNTRIES.length]!,
  };
}

export const demoPeople = (count: number): DemoPerson[] => Array.from({ length: count }, (_, n) => demoPerson(n));

/**
 * The demo's sequence: a first mail; who opens it gets a text message and then a call by a person, the others one more mail. Waits in
 * hours, and short, because nobody waits for a demo.
 */
export const demoSteps = (first: number, second: number) => [
  {
    kind: "email",
    subject: "{{firstName|Hello}}, a question about {{companyName|your team}}",
    body: "Hi {{firstName|there}},\n\nI saw that {{companyName|your company}} is growing and wondered how you, as {{title|a leader}}, plan the next quarter.\n\nWe wrote down [what worked for teams like yours](https://example.com/guide). Would ten minutes next week make sense?\n\nBest,\n{{senderName}}",
  },
  { kind: "wait", hours: first },
  {
    kind: "condition",
    match: "any",
    rules: [{ if: "opened" }],
    branches: {
      yes: [
        {
          kind: "sms",
          body: "Hi {{firstName|there}}, {{senderName}} here: did my note about {{companyName|your team}} reach you? Reply STOP to opt out.",
        },
        { kind: "wait", hours: second },
        {
          kind: "task",
          title: "Call them",
          note: "They opened the mail and got a text message. Ask how they plan the next quarter.",
          outcomes: ["reached", "no_answer"],
        },
      ],
      no: [
        {
          kind: "email",
          subject: "",
          body: "Hi {{firstName|there}},\n\njust in case my note got buried: the [short version](https://example.com/short) takes two minutes.\n\nBest,\n{{senderName}}",
        },
      ],
    },
  },
];

/** An account at the sandbox's Twilio; there its token is its digits in reverse. */
export function sandboxTwilio(): { account_sid: string; auth_token: string } {
  const digits = crypto.randomUUID().replaceAll("-", "");
  return { account_sid: `AC${digits}`, auth_token: [...digits].reverse().join("") };
}
/** Accounts at the sandbox's data providers: a person's and company's data, and the verification of addresses. */
export const sandboxDataProviders = (): {
  provider: string;
  name: string;
  credentials: { api_key: string };
  kinds: string[];
}[] => {
  const digits = () => crypto.randomUUID().replaceAll("-", "");
  return [
    {
      provider: "people_data_labs",
      name: "Sandbox people data",
      credentials: { api_key: digits() + digits() },
      kinds: ["person", "company"],
    },
    {
      provider: "hunter",
      name: "Sandbox verification",
      credentials: { api_key: digits() + digits().slice(0, 8) },
      kinds: ["person", "company", "email"],
    },
  ];
};
/** What the demo asks them for: nothing that its contacts bring along. */
export const DEMO_FIELDS = [
  "linkedin_url",
  "seniority",
  "department",
  "company_industry",
  "company_size",
  "company_employees",
  "company_technologies",
  "email_status",
] as const;
/** The number that every account there owns. */
export const SANDBOX_NUMBER = "+15005550006";
