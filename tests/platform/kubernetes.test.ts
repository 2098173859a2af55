import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { parseAllDocuments } from "yaml";
import { describe, expect, test } from "vitest";
import { createApp } from "../../functions/server/app.ts";
import { modules } from "../../modules/boot.ts";
import { configKeys } from "../../modules/kernel/config.ts";
import { ROOT } from "../../supabase/embedded/home.ts";
import { testKernel } from "../support/kernel.ts";

// Nothing here talks to a cluster: the manifests are held against Kubernetes' and KEDA's own schemas and types, and every name in
// them against the code that answers to it.

const folder = join(ROOT, "supabase", "deploy", "kubernetes");
const files = ["namespace", "api", "worker", "front", "autoscaling", "network"]
  .map((n) => `base/${n}.yaml`)
  .concat("setup/job.yaml");
// oxlint-disable-next-line typescript/no-explicit-any
type Doc = any;
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const docs: { file: string; doc: Doc }[] = files.flatMap((file) =>
  parseAllDocuments(read(file), { uniqueKeys: true }).map((d) => {
    if (d.errors.length > 0) throw new Error(`${file}: ${d.errors[0]!.message}`);
    return { file, doc: d.toJS() };
  }),
);
const [kustomization] = parseAllDocuments(read("base/kustomization.yaml")).map((d) => d.toJS() as Doc);
const of = (kind: string) => docs.map((d) => d.doc).filter((d) => d.kind === kind);
const named = (kind: string, name: string): Doc => of(kind).find((d) => d.metadata.name === name);
const pods = [...of("Deployment"), ...of("Job")];
const containers = pods.flatMap((d) =>
  d.spec.template.spec.containers.map((c: Doc) => ({ workload: d.metadata.name, c })),
);

const moduleOf = (doc: Doc) =>
  doc.apiVersion.startsWith("keda.sh/")
    ? `@kubernetes-models/keda/${doc.apiVersion}`
    : `kubernetes-models/${doc.apiVersion}`;

const t = testKernel();
const app = createApp(t.kernel);

describe("the manifests", () => {
  test("fit the schemas of Kubernetes and KEDA", async () => {
    const faults: string[] = [];
    for (const { file, doc } of docs) {
      const models = (await import(moduleOf(doc))) as Record<string, new (d: Doc) => { validate(): void }>;
      try {
        new models[doc.kind]!(structuredClone(doc)).validate();
      } catch (error) {
        faults.push(`${file} ${doc.kind} ${doc.metadata.name}: ${(error as Error).message}`);
      }
    }
    expect(faults).toEqual([]);
  });

  test("have no field that Kubernetes does not know, since it would drop it silently", () => {
    // Schemas let unknown fields pass; the types made from them do not.
    const check = (entries: { doc: Doc }[]) => {
      const source = entries
        .map(
          ({ doc }, i) =>
            `import type { I${doc.kind} as T${i} } from "${moduleOf(doc)}";\nexport const d${i}: T${i} = ${JSON.stringify(doc, null, 1)};`,
        )
        .join("\n");
      const name = join(ROOT, "tests", "platform", "manifests.virtual.ts");
      const options = {
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        types: [],
        target: ts.ScriptTarget.ESNext,
        module: ts.ModuleKind.ESNext,
        moduleResolution: ts.ModuleResolutionKind.Bundler,
      };
      const host = ts.createCompilerHost(options);
      const { getSourceFile, fileExists } = host;
      host.getSourceFile = (f, o) => (f === name ? ts.createSourceFile(f, source, o) : getSourceFile.call(host, f, o));
      host.fileExists = (f) => f === name || fileExists.call(host, f);
      return ts
        .getPreEmitDiagnostics(ts.createProgram([name], options, host))
        .map((d) => ts.flattenDiagnosticMessageText(d.messageText, " "));
    };
    expect(check(docs)).toEqual([]);
    const typo = structuredClone(named("Deployment", "overture-api"));
    typo.spec.template.spec.containers[0].livenesProbe = {};
    expect(check([{ doc: typo }]).join()).toMatch(/livenesProbe/);
  }, 60_000);

  test.runIf(spawnSync("kubectl", ["version", "--client"]).status === 0)("are what kustomize makes of them", () => {
    for (const part of ["base", "setup"]) {
      const { status, stdout, stderr } = spawnSync("kubectl", ["kustomize", join(folder, part)], { encoding: "utf8" });
      expect(stderr).toBe("");
      expect(status).toBe(0);
      const kinds = parseAllDocuments(stdout).map((d) => (d.toJS() as Doc).kind);
      if (part === "base") expect(kinds).toEqual(expect.arrayContaining(["Deployment", "ScaledObject", "ConfigMap"]));
      expect(stdout).not.toMatch(/image: overture-/);
    }
  });

  test("list every file, and every file they list exists", () => {
    expect(kustomization.resources.map((r: string) => `base/${r}`).sort()).toEqual(
      files.filter((f) => f.startsWith("base/")).sort(),
    );
    const images = new Set(kustomization.images.map((i: Doc) => i.name));
    expect(containers.map(({ c }) => c.image).filter((i) => !images.has(i))).toEqual(["overture-setup"]);
  });
});

describe("what a container is given", () => {
  const literals: string[] = kustomization.configMapGenerator[0].literals.map((l: string) => l.split("=")[0]);
  const envOf = (c: Doc): string[] => [...(c.envFrom ? literals : []), ...(c.env ?? []).map((e: Doc) => e.name)];

  test("is configuration that the code knows, all that it needs, and no secret in clear", () => {
    const known = configKeys(modules);
    const others = ["DENO_SERVE_ADDRESS", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];
    for (const { workload, c } of containers) {
      const given = envOf(c);
      expect(
        given.filter((n) => !others.includes(n) && !known.some(({ key }) => key === n)),
        workload,
      ).toEqual([]);
      if (workload === "overture-front") continue;
      const needed = [
        ...known.filter((k) => k.required).map((k) => k.key),
        "SUPABASE_PUBLISHABLE_KEY",
        "SUPABASE_SECRET_KEY",
        "OVERTURE_DB_URL",
      ];
      expect(
        needed.filter((n) => !given.includes(n)),
        workload,
      ).toEqual([]);
      const secret = /KEY|SECRET|DB_URL|WEBHOOK_URL/;
      for (const e of c.env)
        if (secret.test(e.name)) expect(e, workload).toMatchObject({ valueFrom: { secretKeyRef: { key: e.name } } });
    }
    expect(literals.filter((n) => /KEY|SECRET|DB_URL/.test(n))).toEqual([]);
  });

  test("is no right it does not need: no root, no writable root, no capability, bounded in memory and processor", () => {
    for (const d of pods) {
      expect(d.spec.template.spec, d.metadata.name).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      });
    }
    for (const { workload, c } of containers) {
      expect(c.securityContext, workload).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      expect(Object.keys(c.resources.requests), workload).toEqual(["cpu", "memory"]);
      expect(Object.keys(c.resources.limits), workload).toEqual(["cpu", "memory"]);
    }
  });

  test("is what the images hold", () => {
    const dockerfile = readFileSync(join(ROOT, "supabase", "deploy", "Dockerfile"), "utf8");
    const pkg = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    expect(dockerfile).toContain(`denoland/deno:${pkg.dependencies.deno} `);
    expect(dockerfile).toContain(`node:${pkg.dependencies.node}-`);
    for (const { c } of containers.filter(({ c }) => c.image === "overture-functions")) {
      const [, name] = /^\/app\/(\w+)\/index\.js$/.exec(c.args[0])!;
      expect(existsSync(join(ROOT, "functions", name!, "index.ts"))).toBe(true);
    }
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((m) => m[1]!.split(" "));
    expect(copied.length).toBeGreaterThan(5);
    expect(copied.filter((p) => !existsSync(join(ROOT, p)))).toEqual([]);
    // The same rights as under compose.
    const compose = readFileSync(join(ROOT, "supabase", "deploy", "docker-compose.overture.yml"), "utf8");
    const rights = [...new Set([...compose.matchAll(/"(--allow-[^"]+)"/g)].map((m) => m[1]!))];
    expect(rights.length).toBeGreaterThan(3);
    for (const right of rights) expect(dockerfile).toContain(`"${right}"`);
  });
});

describe("what points at something", () => {
  test("points at something that is there: selectors, ports, probes, targets", () => {
    const labels = new Map<string, Doc>(pods.map((d) => [d.metadata.name, d.spec.template.metadata.labels]));
    const selects = (selector: Doc) =>
      [...labels.values()].some((l) => Object.entries(selector).every(([k, v]) => l[k] === v));
    for (const d of of("Deployment")) expect(selects(d.spec.selector.matchLabels), d.metadata.name).toBe(true);
    for (const d of of("Service")) {
      const workload = named("Deployment", d.spec.selector["app.kubernetes.io/name"]);
      const [port] = workload.spec.template.spec.containers[0].ports;
      expect(d.spec.ports[0]).toMatchObject({ port: port.containerPort, targetPort: port.name });
    }
    for (const d of of("PodDisruptionBudget")) expect(selects(d.spec.selector.matchLabels)).toBe(true);
    for (const d of [...of("HorizontalPodAutoscaler"), ...of("ScaledObject")])
      expect(named("Deployment", d.spec.scaleTargetRef.name), d.metadata.name).toBeDefined();
    for (const { c } of containers) {
      for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"])
        if (c[probe]) expect(c.ports.map((p: Doc) => p.name)).toContain(c[probe].httpGet.port);
    }
    for (const d of of("Deployment").filter((x: Doc) => x.spec.template.metadata.annotations)) {
      const notes = d.spec.template.metadata.annotations;
      expect(notes["prometheus.io/port"]).toBe(String(d.spec.template.spec.containers[0].ports[0].containerPort));
    }
    // Whoever is let in is let in at the port that listens.
    for (const d of of("NetworkPolicy").filter((x: Doc) => x.spec.ingress)) {
      const workload = named("Deployment", d.spec.podSelector.matchLabels["app.kubernetes.io/name"]);
      expect(d.spec.ingress[0].ports[0].port).toBe(workload.spec.template.spec.containers[0].ports[0].containerPort);
    }
    const ingress = of("Ingress")[0].spec.rules[0].http.paths[0].backend.service;
    expect(named("Service", ingress.name).spec.ports[0].name).toBe(ingress.port.name);
    const worker = named("Deployment", "overture-worker").spec.template.spec.containers[0];
    expect(worker.env.find((e: Doc) => e.name === "OVERTURE_METRICS_PORT").value).toBe(
      String(worker.ports[0].containerPort),
    );
  });

  test("the API answers its probes and the scraper", async () => {
    const { c } = containers.find(({ workload }) => workload === "overture-api")!;
    for (const probe of [c.startupProbe, c.livenessProbe, c.readinessProbe])
      expect((await app.request(probe.httpGet.path)).status, probe.httpGet.path).toBe(200);
    const path = named("Deployment", "overture-api").spec.template.metadata.annotations["prometheus.io/path"];
    expect((await app.request(path)).status).toBe(401);
    const headers = { authorization: `Bearer ${t.env.SUPABASE_SECRET_KEY}` };
    expect((await app.request(path, { headers })).status).toBe(200);
  });

  test("the front passes on what the gateway serves, and keeps the metrics inside", async () => {
    const caddy = read("base/Caddyfile");
    const compose = readFileSync(join(ROOT, "supabase", "deploy", "Caddyfile"), "utf8");
    const paths = (text: string, matcher: string) => new RegExp(`@${matcher} path (.+)`).exec(text)![1]!.split(" ");
    const passed = [...paths(caddy, "functions"), ...paths(caddy, "closed")];
    const served = [...paths(compose, "functions"), ...paths(compose, "facade")];
    expect(served.filter((p) => !passed.includes(p))).toEqual([]);
    expect(paths(caddy, "closed")).toContain("/metrics");
    for (const path of paths(caddy, "functions").filter((p) => !p.includes("*") && p.startsWith("/auth")))
      expect([401, 405, 422, 404].includes((await app.request(path, { method: "POST" })).status), path).toBe(true);
    // The first handle that matches answers.
    expect(caddy.indexOf("handle @closed")).toBeLessThan(caddy.indexOf("handle @functions"));
  });
});

describe("scaling", () => {
  test("the API follows its processors between three and ten", () => {
    expect(named("HorizontalPodAutoscaler", "overture-api").spec).toMatchObject({
      minReplicas: 3,
      maxReplicas: 10,
      metrics: [{ resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 70 } } }],
    });
  });

  test("the workers' questions are answered by the database, asked as they are asked", async () => {
    const { triggers } = named("ScaledObject", "overture-worker").spec;
    const container = named("Deployment", "overture-worker").spec.template.spec.containers[0];
    expect(triggers).toHaveLength(2);
    for (const { metadata } of triggers) {
      expect(container.env.some((e: Doc) => e.name === metadata.connectionFromEnv)).toBe(true);
      const [row] = await t.kernel.database.once((sql) => sql.unsafe(metadata.query));
      expect(Number.isFinite(Number(Object.values(row!)[0]))).toBe(true);
    }
  });

  test("all of them together stay below the connections the runbook asks for", () => {
    const poolOf = (name: string) =>
      Number(
        named("Deployment", name).spec.template.spec.containers[0].env.find((e: Doc) => e.name === "OVERTURE_DB_POOL")
          .value,
      );
    const api = (named("HorizontalPodAutoscaler", "overture-api").spec.maxReplicas + 1) * poolOf("overture-api");
    // One more each for LISTEN.
    const workers = named("ScaledObject", "overture-worker").spec.maxReplicaCount * (poolOf("overture-worker") + 1);
    const runbook = readFileSync(join(ROOT, "docs", "runbooks", "scaling.md"), "utf8");
    const [, most] = /at most \*\*(\d+)\*\* connections/.exec(runbook)!;
    expect(api + workers).toBe(Number(most));
  });
});
