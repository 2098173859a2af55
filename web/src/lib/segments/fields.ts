import type { CustomField } from "../api/types.ts";
import type { Catalogue } from "../catalogue.ts";
import type { FieldChoice } from "./FilterGroup.svelte";

/** The fields a filter can ask about: those of every contact and the team's own. */
export const fieldChoices = (catalogue: Catalogue, custom: readonly CustomField[]): FieldChoice[] => [
  ...catalogue.list("contact.field", "filterable").map((f) => ({
    key: f.value,
    label: f.label,
    kind: f.type ?? "text",
    ...(f.options ? { options: catalogue.options(f.options) } : {}),
  })),
  ...custom.map((f): FieldChoice => ({
    key: `custom.${f.key}`,
    label: f.label,
    kind: catalogue.entry("custom_field.type", f.type).type ?? "text",
    ...(f.options?.length ? { options: f.options.map((o) => ({ value: o, label: o })) } : {}),
  })),
];
