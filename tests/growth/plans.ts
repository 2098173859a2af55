import { readFileSync } from "node:fs";

/** Plans as auto_explain writes them into the server's log. */

type Node = { "Node Type": string; "Relation Name"?: string; Filter?: string; "Actual Rows"?: number; Plans?: Node[] };
export type Plan = { query: string; nodes: Node[] };

const flatten = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flatten)];

/** Every plan in the log from byte `from` on. */
export function readPlans(logFile: string, from: number): Plan[] {
  const text = readFileSync(logFile).subarray(from).toString("utf8");
  return [...text.matchAll(/duration: [\d.]+ ms {2}plan:\n((?:\t.*\n)+)/g)].map(([, block]) => {
    const { "Query Text": query, Plan: root } = JSON.parse(block!.replaceAll(/^\t/gm, "")) as {
      "Query Text": string;
      Plan: Node;
    };
    return { query: query.replaceAll(/\s+/g, " ").trim(), nodes: flatten(root) };
  });
}

/** Scans that read a whole table of these, as `table: query`. */
export const wholeScans = (plans: readonly Plan[], big: ReadonlySet<string>): string[] => [
  ...new Set(
    plans.flatMap(({ query, nodes }) =>
      nodes
        .filter((n) => n["Node Type"] === "Seq Scan" && big.has(n["Relation Name"] ?? ""))
        .map((n) => `${n["Relation Name"]} where ${n.Filter ?? "true"}: ${query.slice(0, 200)}`),
    ),
  ),
];
