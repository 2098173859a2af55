import type { Fault, ValueOf, VariableUse } from "../kernel/channel.ts";
import { plain as plainText } from "../kernel/text.ts";
import { nearVariables, resolveVariable } from "./variables.ts";

/**
 * Variables within an author's text. A person's values go in last, after the channel has made its own form of the text, each
 * escaped for the place it stands in, so that no value can make markup, a header or another variable.
 */

/** `plain` stands in text, `component` inside a link, `url` at a link's beginning, where it must be a web address. */
export type Place = "plain" | "component" | "url";
export type Piece = string | { use: VariableUse; place: Place };

// Private-use characters mark where a value goes while the text is worked on: no author and no value may contain them.
export const OPEN: Record<Place, string> = { plain: "\ue000", component: "\ue002", url: "\ue003" };
const CLOSE = "\ue001";
export const MARKS = /[\ue000-\ue004]/g;
const MARK = /([\ue000\ue002\ue003])(\d+)\ue001/g;
const PLACE: Record<string, Place> = { "\ue000": "plain", "\ue002": "component", "\ue003": "url" };

/** A text wrong in more places than this is not helped by more sentences, and each suggestion costs time. */
const MAX_UNKNOWN = 20;

/** Replaces `{{…}}` by marks, notes each use and names what is wrong. */
export function markVariables(
  field: string,
  source: string,
  customKeys: ReadonlySet<string>,
  uses: VariableUse[],
  faults: Fault[],
): string {
  let errors = 0;
  const error = (id: string, detail: () => string) => {
    if (++errors <= MAX_UNKNOWN) faults.push({ field, level: "error", id, detail: detail() });
  };
  const marked = source.replace(MARKS, "").replace(/\{\{([^{}]*)\}\}/g, (whole, inner: string) => {
    const bar = inner.indexOf("|");
    const given = (bar < 0 ? inner : inner.slice(0, bar)).trim();
    if (given === "") {
      error("variable_empty", () => `${shown(whole)} does not name a variable; write for example {{firstName|there}}.`);
      return "";
    }
    const name = resolveVariable(given, customKeys);
    if (name === null) {
      error("variable_unknown", () => unknown(given, customKeys));
      return "";
    }
    const fallback = bar < 0 ? null : inner.slice(bar + 1);
    uses.push({ name, fallback: fallback === null ? null : fallback.replace(/\s+/g, " ").trim() });
    return `${OPEN.plain}${uses.length - 1}${CLOSE}`;
  });
  if (marked.includes("{{") || marked.includes("}}")) {
    faults.push({
      field,
      level: "error",
      id: "braces",
      detail: `The ${field} has {{ without }} or }} without {{; a variable looks like {{firstName}} or {{firstName|there}}.`,
    });
  }
  return marked;
}

const shown = (text: string): string => (text.length > 60 ? `${plainText(text, 60)}…` : text);

function unknown(given: string, customKeys: ReadonlySet<string>): string {
  const near = nearVariables(given, customKeys);
  const help =
    near.length > 0
      ? `; did you mean ${near.map((n) => `{{${n}}}`).join(" or ")}?`
      : "; use for example {{firstName}}, {{companyName}} or {{custom.key}}.";
  return `{{${shown(given)}}} is not a variable${help}`;
}

/** A marked text as its fixed parts and the places of its values. */
export function toPieces(text: string, uses: readonly VariableUse[]): Piece[] {
  const parts = text.split(MARK);
  const pieces: Piece[] = [];
  for (let i = 0; i < parts.length; i += 3) {
    if (parts[i] !== "") pieces.push(parts[i]!);
    if (i + 2 < parts.length) pieces.push({ use: uses[Number(parts[i + 2])]!, place: PLACE[parts[i + 1]!]! });
  }
  return pieces;
}

/** Only what the author wrote, without any value. */
export const fixedText = (pieces: readonly Piece[]): string => pieces.filter((p) => typeof p === "string").join("");

type FillInput = {
  valueOf: ValueOf;
  showMissing: boolean;
  /** Names without value and fallback are added here. */
  missing: Set<string>;
  /** The value for its place; null when it cannot stand there, with `unfit` saying why. */
  fit?: (value: string, place: Place) => string | null;
  unfit?: string;
  /** The last step of each value: escaping. */
  finish?: (text: string) => string;
};

/** Puts a person's values in. */
export function fillPieces(pieces: readonly Piece[], input: FillInput): string {
  const { valueOf, showMissing, missing, fit, unfit, finish = (text) => text } = input;
  const valueAt = ({ use, place }: Exclude<Piece, string>): string => {
    const value = valueOf(use.name) ?? use.fallback;
    if (value === null) {
      missing.add(use.name);
      return showMissing ? `{{${use.name}}}` : "";
    }
    const fitted = fit ? fit(value, place) : value;
    if (fitted === null) missing.add(unfit ? `${use.name} (${unfit})` : use.name);
    return fitted ?? "";
  };
  return pieces.map((p) => (typeof p === "string" ? p : finish(valueAt(p)))).join("");
}
