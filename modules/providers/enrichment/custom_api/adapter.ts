import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import { jsonOrNull, shaped } from "../../answers.ts";
import { lookupCall, refusal } from "../answer.ts";
import {
  type Answer,
  COMPANY_FIELDS,
  defineLookupProvider,
  EMAIL_FIELDS,
  type Found,
  PERSON_FIELDS,
  type Question,
} from "../vocabulary.ts";

const Credentials = z.object({
  api_key: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/, "has characters that a header cannot carry")
    .optional()
    .meta({
      title: "API key",
      secret: true,
      description: "Sent as the header's value as it stands. Empty: no key is sent.",
    }),
});
type Credentials = z.infer<typeof Credentials>;
const Settings = z.object({
  header_name: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/)
    .default("x-api-key")
    .meta({ title: "Header of the key", description: "For example x-api-key or authorization." }),
});

const GIVES = {
  person: [...PERSON_FIELDS, ...COMPANY_FIELDS],
  company: [...COMPANY_FIELDS],
  email: [...EMAIL_FIELDS],
} as const;
type CustomKind = keyof typeof GIVES;

const value = z.union([z.string().max(10_000), z.number(), z.array(z.string().max(1000)).max(500), z.null()]);
const units = z.union([z.literal(0), z.literal(1)]);
/** A field that the kind does not have is refused: a wrong name would otherwise be lost without a word. */
const answerOf = (kind: CustomKind) =>
  z.discriminatedUnion("outcome", [
    z.strictObject({
      outcome: z.literal("found"),
      values: z.strictObject(Object.fromEntries(GIVES[kind].map((field) => [field, value.optional()]))),
      confidence: z.number().min(0).max(1),
      units: units.default(1),
    }),
    z.strictObject({ outcome: z.literal("miss"), units: units.default(0) }),
  ]);
const ANSWERS = { person: answerOf("person"), company: answerOf("company"), email: answerOf("email") };
const Envelope = z.strictObject({ answers: z.array(z.unknown()) });

/** Each answer by itself: one that is wrong takes only its own question with it. */
function read(kind: CustomKind, raw: unknown, at: number): Answer {
  const { success, data, error } = ANSWERS[kind].safeParse(raw);
  if (!success)
    return {
      outcome: "unknown",
      code: "bad_answer",
      detail: `answers[${at}]: ${z.prettifyError(error).slice(0, 300)}`,
    };
  if (data.outcome === "miss") return data;
  return {
    outcome: "found",
    units: data.units,
    found: { values: data.values as Found["values"], confidence: data.confidence },
  };
}

const failure = (response: HttpResponse): Answer =>
  refusal("Your endpoint", response, { broken: [401, 403, 404, 405], refused: [400, 422] });

const NO_URL = {
  code: "no_base_url",
  detail: "The connection has no base URL, so there is no endpoint to ask.",
} as const;

const post = ({ base_url, credentials, settings }: Connection<Credentials>, http: HttpClient, body: unknown) =>
  http.json({
    method: "POST",
    url: base_url!,
    headers: credentials.api_key ? { [String(settings.header_name ?? "x-api-key")]: credentials.api_key } : {},
    body,
  });

/** The team's own endpoint, of which `setup` is the contract. What an answer costs is the price that the team enters, for each unit. */
export const customApi = defineLookupProvider({
  id: "custom_api",
  label: "Your own API",
  category: "enrichment",
  docs_url: "https://www.rfc-editor.org/rfc/rfc8259",
  setup: [
    "Your own HTTPS endpoint that answers questions as JSON. Write its address into Base URL; it is called as it stands.",
    'Request: POST {"kind":"person"|"company"|"email","questions":[…]}, at most 50 questions. A question has what is known of',
    "email, first_name, last_name, domain, company_name, linkedin_url, country.",
    'Answer: status 200 with {"answers":[…]}, one for each question in the same order, each either',
    '{"outcome":"found","values":{…},"confidence":0 to 1} or {"outcome":"miss"}. Both may have "units": 1 when it is charged, else 0;',
    "without it found is 1 and miss is 0.",
    `Values of a person: ${PERSON_FIELDS.join(", ")}, and the values of a company: ${COMPANY_FIELDS.join(", ")}.`,
    "Value of an e-mail address: email_status (valid, invalid, catch_all, risky or unknown).",
    "An answer with any other field is refused. An endpoint that does not answer a kind answers miss.",
    "Status 401, 403, 404 or 405 stops the connection, 429 with Retry-After slows it down, 400 or 422 refuses the questions, 5xx is asked again.",
    'The test of the connection asks no question: {"kind":"company","questions":[]} is answered by {"answers":[]}.',
  ].join(" "),
  credentials: Credentials,
  settings: Settings,
  default_base_url: null,
  runs_in: "anywhere",

  async check(connection, http) {
    if (connection.base_url === null)
      return { ok: false, ...NO_URL, suggestion: "Enter the address of your endpoint as base URL." };
    const response = await post(connection, http, { kind: "company", questions: [] });
    if (response.status !== 200) {
      const { code, detail } = failure(response) as { code: string; detail: string };
      return {
        ok: false,
        code,
        detail,
        suggestion: "Compare the base URL, the header and the key with your endpoint.",
      };
    }
    const body = Envelope.safeParse(jsonOrNull(response));
    if (body.success && body.data.answers.length === 0) return { ok: true, detail: "Connected." };
    return {
      ok: false,
      code: "bad_answer",
      detail: 'The endpoint did not answer {"answers":[]} to no questions.',
      suggestion: "The help of this provider has the form of an answer.",
    };
  },

  lookup: {
    per_second: 10,
    call_seconds: 15,
    // The endpoint is the team's own: its price is the one that the team enters.
    unit_micros: 0,
    kinds: {
      person: {
        needs: [
          ["email"],
          ["linkedin_url"],
          ["first_name", "last_name", "domain"],
          ["first_name", "last_name", "company_name"],
        ],
        gives: GIVES.person,
        batch: 50,
        units: 1,
      },
      company: { needs: [["domain"], ["company_name"]], gives: GIVES.company, batch: 50, units: 1 },
      email: { needs: [["email"]], gives: GIVES.email, batch: 50, units: 1 },
    },
    lookup(kind, questions: readonly Question[], connection, http) {
      if (connection.base_url === null) return Promise.resolve(questions.map(() => ({ outcome: "broken", ...NO_URL })));
      return lookupCall(questions, async () => {
        const response = await post(connection, http, { kind, questions });
        if (response.status !== 200) return questions.map(() => failure(response));
        const { answers } = shaped(Envelope, response.json(), "list of answers");
        return answers.map((raw, at) => read(kind as CustomKind, raw, at));
      });
    },
  },
});
