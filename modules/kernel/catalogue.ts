import { z } from "zod";

/**
 * What a module tells its clients about the choices it offers: the value the API accepts, the label users read and how it
 * is shown. A console that reads this needs no list of its own, which could become outdated.
 */

/** Meaning of a colour: neutral, good, needs attention, failed, for information, in progress. */
const TONES = ["neutral", "good", "warn", "bad", "info", "accent"] as const;
export type Tone = (typeof TONES)[number];

export const CatalogueEntry = z
  .object({
    value: z.string().describe("The value as the API accepts and returns it."),
    label: z.string().describe("The label as users read it."),
    tone: z.enum(TONES).optional().describe("The colour class of a status."),
    description: z.string().optional(),
    group: z.string().optional().describe("Entries with the same group are shown together."),
    type: z.string().optional().describe("The value type of a field; for an operator, the field type it applies to."),
    takes: z
      .enum(["value", "values", "days", "nothing"])
      .optional()
      .describe("What an operator compares a field with: one value, a list, a number of days, or nothing."),
    options: z.string().optional().describe("The list of the catalogue with the possible values of the field."),
    fallback: z.string().optional().describe("The suggested text where the value is missing."),
    traits: z.array(z.string()).optional().describe("Other uses of the entry, e.g. `settable`, `importable`."),
  })
  .meta({ id: "CatalogueEntry" });
export type CatalogueEntry = z.output<typeof CatalogueEntry>;

/** Named lists, e.g. `campaign.status`. Several modules may add to one list. */
export type Catalogue = Readonly<Record<string, readonly CatalogueEntry[]>>;

export const ConsolePage = z
  .object({
    path: z.string().describe("Where the console shows it."),
    label: z.string(),
    icon: z.string().describe("Name of the icon; a console without this icon shows a dot."),
    shortcut: z.string().length(1).describe("The key that opens the page, pressed after `g`."),
    group: z.enum(["work", "system"]),
    position: z.number().int().describe("Order within the group."),
    permission: z.string().optional().describe("The permission needed to open the page."),
  })
  .meta({ id: "ConsolePage" });
export type ConsolePage = z.output<typeof ConsolePage>;

/** Entries for every one of `values`, in their order; TypeScript asks for each. A text stands for an entry with a label alone. */
export const entriesOf = <T extends string>(
  values: readonly T[],
  words: { readonly [K in NoInfer<T>]: string | Omit<CatalogueEntry, "value"> },
): CatalogueEntry[] =>
  values.map((value) => {
    const given: string | Omit<CatalogueEntry, "value"> = words[value];
    return typeof given === "string" ? { value, label: given } : { value, ...given };
  });
