import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { parse } from "yaml";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildFunctions } from "../../scripts/build-functions.ts";
import { isFree, ROOT } from "../../supabase/embedded/home.ts";
import { startWorld } from "../faults/support.ts";
import { ISOLATED, runDeno } from "../runtime/process.ts";
import { until } from "../support/until.ts";

// What the rules and the dashboard ask for is compared with what a running installation tells, which did what they are about.

const deploy = join(ROOT, "supabase", "deploy");
type Rule = { record?: string; alert?: string; expr: string; annotations?: Record<string, string> };
const rules = (
  parse(readFileSync(join(deploy, "prometheus", "alerts.yml"), "utf8")) as { groups: { rules: Rule[] }[] }
).groups.flatMap((g) => g.rules);
const dashboard = JSON.parse(readFileSync(join(deploy, "grafana", "overture.json"), "utf8")) as {
  panels: { title: string; targets?: { expr: string }[] }[];
};
const expressions = [
  ...rules.map((r) => ({ where: r.alert ?? r.record!, expr: r.expr })),
  ...dashboard.panels.flatMap((p) => (p.targets ?? []).map((t) => ({ where: `panel ${p.title}`, expr: t.expr }))),
];
const recorded = new Set(rules.flatMap((r) => (r.record ? [r.record] : [])));

/** The metrics and the labels an expression names, and whether it parses. */
function read(expr: string): { metrics: string[]; labels: string[]; broken: boolean } {
  const found = { metrics: [] as string[], labels: [] as string[], broken: false };
  parser.parse(expr).iterate({
    enter(node) {
      const text = expr.slice(node.from, node.to);
      if (node.type.isError) found.broken = true;
      if (node.name === "Identifier" && node.node.parent?.name === "VectorSelector") found.metrics.push(text);
      if (node.name === "LabelName") found.labels.push(text);
    },
  });
  return found;
}

// Here and not in a hook: it registers its own end.
const world = await startWorld({ gateway: false });

describe("the rules and the dashboard", () => {
  test("parse, and name only metrics that are recorded before", () => {
    expect(expressions.length).toBeGreaterThan(30);
    expect(expressions.filter(({ expr }) => read(expr).broken)).toEqual([]);
    expect(read("sum(rate(a_b[5m]").broken).toBe(true);
    const missing = expressions.flatMap(({ where, expr }) =>
      read(expr)
        .metrics.filter((m) => m.startsWith("overture:") && !recorded.has(m))
        .map((m) => `${where}: ${m}`),
    );
    expect(missing).toEqual([]);
  });

  test("every alert says what to read, and that exists", () => {
    const alerts = rules.filter((r) => r.alert);
    expect(alerts.length).toBeGreaterThan(12);
    expect(alerts.filter((r) => !r.annotations?.summary)).toEqual([]);
    expect(alerts.filter((r) => !existsSync(join(ROOT, r.annotations?.runbook ?? "none")))).toEqual([]);
  });
});

/** What it says on both channels; it exits with an error where it finds one. */
function promtool(args: string[], input?: string, cwd?: string): string {
  const { status, stdout, stderr } = spawnSync("promtool", args, { input, cwd, encoding: "utf8" });
  return `${stdout}${stderr}exit ${status}`;
}
const there = promtool(["--version"]).endsWith("exit 0");

describe("promtool", () => {
  // The package prometheus of Debian and Ubuntu has it; elsewhere the parser above must do.
  test.runIf(there)(
    "takes the rules and the configuration, and the alerts fire and rest as they should",
    () => {
      const run = (...args: string[]) => promtool(args, undefined, join(deploy, "prometheus"));
      expect(run("check", "rules", "alerts.yml")).toMatch(/SUCCESS[\s\S]*exit 0$/);
      expect(run("check", "config", "--syntax-only", "prometheus.yml")).toMatch(/SUCCESS[\s\S]*exit 0$/);
      expect(run("test", "rules", "alerts.test.yml", "alerts-slow.test.yml")).toMatch(/SUCCESS[\s\S]*exit 0$/);
    },
    60_000,
  );
});

describe("a running installation", () => {
  let exported: Map<string, Set<string>>;
  let texts: string[];
  const ports = { worker: 0 };
  const out = mkdtempSync(join(tmpdir(), "overture-observability-"));
  afterAll(() => rmSync(out, { recursive: true, force: true }));

  beforeAll(async () => {
    await buildFunctions(out, ["server"]);
    let port = 47_000 + Math.floor(Math.random() * 900);
    while (!(await isFree(port)) || !(await isFree(port + 1))) port++;
    ports.worker = port + 1;
    const env = { ...world.stack.env, LOG_LEVEL: "warn" };
    const server = await runDeno([...ISOLATED, join(out, "server", "index.js")], env, port);
    world.onStop(async () => void (await server.stop()));
    await world.worker({ OVERTURE_METRICS_PORT: String(port + 1) });
    // As the schedule of the embedded default notes it.
    await world.sql`insert into kernel.settings (key, value) values ('backup', jsonb_build_object('planned_at', now(), 'every_seconds', 86400))`;
    const mailing = await world.mailing("postmark", 20);
    await world.settle(mailing);
    const key = { authorization: `Bearer ${world.stack.env.SUPABASE_SECRET_KEY}` };
    const scrape = async (at: number, headers: Record<string, string>) =>
      (await fetch(`http://127.0.0.1:${at}/metrics`, { headers })).text();
    await fetch(`${server.url}/api/v1/contacts`);
    texts = await until(
      async () => {
        const both = await Promise.all([scrape(port, key), scrape(port + 1, key)]);
        // The samples reach the database a few seconds after the request.
        return both[0].includes("overture_requests_total") ? both : null;
      },
      { what: "the samples to be written", timeoutMs: 30_000, everyMs: 500 },
    );
    exported = new Map();
    for (const [, name, labels] of texts.join("").matchAll(/^([a-z_]+)(?:\{(.*)\})? [-\d.e+NaInf]+$/gm)) {
      const known = exported.get(name!) ?? new Set();
      for (const [, label] of (labels ?? "").matchAll(/([a-z_]+)="/g)) known.add(label!);
      exported.set(name!, known);
    }
  }, 180_000);

  test("exports every metric that the rules and the dashboard name, with the labels they use", () => {
    // What Prometheus adds itself.
    const given = new Set(["up", "job", "instance", "le", "severity"]);
    const faults = expressions.flatMap(({ where, expr }) => {
      const { metrics, labels } = read(expr);
      const own = metrics.filter((m) => !m.startsWith("overture:") && !given.has(m));
      const unknown = own.filter((m) => !exported.has(m)).map((m) => `${where}: no metric ${m}`);
      if (own.length === 0) return unknown;
      const known = new Set(own.flatMap((m) => [...(exported.get(m) ?? [])]));
      return [
        ...unknown,
        ...labels.filter((l) => !known.has(l) && !given.has(l)).map((l) => `${where}: no label ${l}`),
      ];
    });
    expect(faults).toEqual([]);
  });

  test("its worker answers the probes, and nothing else", async () => {
    const worker = `http://127.0.0.1:${ports.worker}`;
    for (const path of ["/health/live", "/health/ready"])
      expect((await fetch(`${worker}${path}`)).status, path).toBe(200);
    expect((await fetch(`${worker}/anything`)).status).toBe(404);
  });

  test("names routes by their template, so that addresses do not become series", () => {
    expect(texts[0]).toMatch(
      /overture_http_request_seconds_count\{operation="contacts\.list",method="GET",route="\/contacts",status="401"\} 1/,
    );
    expect(texts[0]).not.toMatch(/route="[^"]*[0-9a-f]{8}-[0-9a-f]{4}/);
  });

  test.runIf(there)("is readable to Prometheus", () => {
    // Whatever it finds fault with beyond names and helps it answers with a line about parsing.
    for (const one of texts) expect(promtool(["check", "metrics"], one)).not.toMatch(/error/);
  });

  test("tells nothing to strangers: neither without the key nor with a forged address", async () => {
    const port = Number(new URL(world.stack.url).port);
    expect(port).toBeGreaterThan(0);
    const { withPeer } = await import("../../functions/server/app.ts");
    const forged = new Request("http://x.test/metrics", { headers: { "x-forwarded-for": "127.0.0.1" } });
    expect(withPeer(forged, "10.0.0.9").headers.get("x-forwarded-for")).toBe("127.0.0.1, 10.0.0.9");
    const proxied = new Request("http://x.test/metrics", { headers: { "x-forwarded-for": "203.0.113.9" } });
    expect(withPeer(proxied, "127.0.0.1").headers.get("x-forwarded-for")).toBe("203.0.113.9");
    const { metricsText } = await import("../../modules/kernel/observability/health.ts");
    for (const headers of [withPeer(forged, "10.0.0.9").headers, proxied.headers, new Headers()])
      expect((await metricsText(world.kernel, headers)).status).toBe(401);
  });
});
