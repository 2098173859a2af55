import { html, raw } from "hono/html";

/** The API's reference as one page without scripts, made from the OpenAPI document. */

type Schema = {
  type?: string | string[];
  $ref?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  description?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  format?: string;
};
type Operation = {
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema; description?: string }[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses?: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>;
};

const typeName = (s: Schema | undefined): string => {
  if (!s) return "any";
  if (s.$ref) return s.$ref.split("/").pop()!;
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(" | ");
  if (s.anyOf) return s.anyOf.map(typeName).join(" | ");
  if (s.type === "array") return `${typeName(s.items)}[]`;
  return [s.type ?? "object"].flat().join(" | ") + (s.format ? ` (${s.format})` : "");
};

const fields = (s: Schema | undefined) =>
  Object.entries(s?.properties ?? {}).map(
    ([name, field]) =>
      html`<tr>
        <td><code>${name}</code>${s?.required?.includes(name) ? html` <b title="required">*</b>` : ""}</td>
        <td><code>${typeName(field)}</code></td>
        <td>${field.description ?? ""}</td>
      </tr>`,
  );

const table = (caption: string, rows: unknown[]) =>
  rows.length === 0
    ? ""
    : html`<table>
        <caption>
          ${caption}
        </caption>
        <thead>
          <tr>
            <th>Name</th>
            <th>Type</th>
            <th>Meaning</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>`;

/** Renders the page once, at boot. */
export function docsPage(document: unknown): string {
  const doc = document as {
    info: { title: string; description?: string };
    paths: Record<string, Record<string, Operation>>;
  };
  const groups = new Map<string, { method: string; path: string; op: Operation }[]>();
  for (const [path, methods] of Object.entries(doc.paths)) {
    for (const [method, op] of Object.entries(methods)) {
      const tag = op.tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), { method: method.toUpperCase(), path, op }]);
    }
  }
  const section = ({ method, path, op }: { method: string; path: string; op: Operation }) => {
    const body = Object.values(op.requestBody?.content ?? {})[0]?.schema;
    const [status, ok] = Object.entries(op.responses ?? {})[0] ?? [];
    const answer = Object.values(ok?.content ?? {})[0]?.schema;
    const params = (op.parameters ?? []).map(
      (p) =>
        html`<tr>
          <td><code>${p.name}</code> <small>${p.in}</small>${p.required ? html` <b title="required">*</b>` : ""}</td>
          <td><code>${typeName(p.schema)}</code></td>
          <td>${p.description ?? p.schema?.description ?? ""}</td>
        </tr>`,
    );
    return html`<details id="${op.operationId}">
      <summary><code class="m ${method}">${method}</code> <code>${path}</code> <span>${op.summary}</span></summary>
      ${op.description ? html`<p>${op.description}</p>` : ""}${table("Parameters", params)}${table("Body", fields(body))}${table(`Response ${status ?? ""}`, fields(answer))}
    </details>`;
  };
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${doc.info.title}</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        <main>
          <h1>${doc.info.title}</h1>
          <p>${doc.info.description}</p>
          <p>Machine-readable: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
          <nav aria-label="Sections">${[...groups.keys()].map((g) => html`<a href="#${g}">${g}</a> `)}</nav>
          ${[...groups].map(
            ([tag, ops]) =>
              html`<section id="${tag}">
                <h2>${tag}</h2>
                ${ops.map(section)}
              </section>`,
          )}
        </main>
      </body>
    </html>`;
  return String(page);
}

const STYLE = `:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{margin:0}main{max-width:64rem;margin:0 auto;padding:2rem 1rem}
h2{margin-top:2rem;text-transform:capitalize;border-bottom:1px solid #8884}nav a{margin-right:.75rem}details{border:1px solid #8884;border-radius:6px;margin:.4rem 0;padding:.4rem .7rem}
summary{cursor:pointer}summary span{opacity:.75;margin-left:.5rem}.m{font-weight:700;display:inline-block;min-width:4.2em}.GET{color:#0a7}.POST{color:#07c}.PATCH,.PUT{color:#b70}.DELETE{color:#c33}
table{border-collapse:collapse;width:100%;margin:.6rem 0}caption{text-align:left;font-weight:600}td,th{text-align:left;border-top:1px solid #8883;padding:.25rem .5rem;vertical-align:top}b{color:#c33}`;
