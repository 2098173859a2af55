import { z } from "zod";

/**
 * The environment, read once and only here: `boot(env)` parses the kernel's keys and those the modules declare, and passes
 * the result on. All faults are reported together, each with its key.
 */

const list = z
  .string()
  .default("")
  .transform((s) =>
    s
      .split(",")
      .map((x) => x.trim())
      .filter((x) => x !== ""),
  );

const Env = z.object({
  PRODUCT_NAME: z
    .string()
    .min(1)
    .default("Overture")
    .describe(
      "Name of this installation in the console, in the API's documentation and as User-Agent of outbound requests",
    ),
  SUPABASE_URL: z.url().describe("Base URL of Supabase, e.g. http://127.0.0.1:54321"),
  SUPABASE_PUBLISHABLE_KEY: z
    .string()
    .min(1)
    .optional()
    .describe("Supabase's publishable key (sb_publishable_…): sent to its auth server and to the console; required"),
  SUPABASE_PUBLISHABLE_KEYS: z
    .string()
    .optional()
    .describe(
      'The same as JSON, {"default":"sb_…"}, as the platform passes it to functions; the single key takes precedence',
    ),
  SUPABASE_SECRET_KEY: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Supabase's secret key (sb_secret_…): allows access to /metrics and functions/tick from other machines; required",
    ),
  SUPABASE_SECRET_KEYS: z
    .string()
    .optional()
    .describe(
      'The same as JSON, {"default":"sb_…"}, as the platform passes it to functions; the single key takes precedence',
    ),
  SUPABASE_JWT_SECRET: z
    .string()
    .min(32, "must have at least 32 characters")
    .optional()
    .describe(
      "Secret of access tokens signed with HS256; without it only tokens signed with the auth server's public keys are accepted",
    ),
  OVERTURE_DB_URL: z
    .string()
    .startsWith("postgres", "must be a postgres:// URL")
    .optional()
    .describe(
      "The database, with a login that can switch to the roles overture_user and overture_worker; default SUPABASE_DB_URL",
    ),
  SUPABASE_DB_URL: z
    .string()
    .startsWith("postgres", "must be a postgres:// URL")
    .optional()
    .describe(
      "The database with its owner's login, for installing and migrating; also used where OVERTURE_DB_URL is not set",
    ),
  OVERTURE_REPLICA_URL: z
    .string()
    .startsWith("postgres", "must be a postgres:// URL")
    .optional()
    .describe(
      "A streaming replica from which dashboards and statistics may be read; the same login as OVERTURE_DB_URL",
    ),
  OVERTURE_REPLICA_LAG: z.coerce
    .number()
    .positive()
    .default(60)
    .describe(
      "Highest accepted lag of the replica in seconds; schedules write every few seconds, so a working replica is always below",
    ),
  OVERTURE_KEYS: z
    .string()
    .regex(
      /^[A-Za-z0-9_-]+:[A-Za-z0-9+/]{43}=(,[A-Za-z0-9_-]+:[A-Za-z0-9+/]{43}=)*$/,
      "must look like k1:<base64 of 32 bytes>, the current key first",
    )
    .describe("Key ring that encrypts credentials"),
  OVERTURE_PUBLIC_URL: z
    .url()
    .optional()
    .describe("Base URL of links in emails, of webhooks and of the console; default SUPABASE_URL"),
  OVERTURE_ALLOW_PRIVATE_HOSTS: list.describe(
    "Private hosts that tenants' URLs may reach: a list of host or host:port",
  ),
  OVERTURE_CORS_ORIGINS: list.describe("Origins besides the console's own that may call the API from a browser"),
  OVERTURE_MODULES_OFF: list.describe("Names of modules to disable"),
  OVERTURE_API_RATE: z.coerce.number().positive().default(50).describe("API requests per second and tenant, sustained"),
  OVERTURE_API_BURST: z.coerce.number().positive().default(200).describe("API requests a tenant may make in one burst"),
  OVERTURE_API_KEY_RATE: z.coerce
    .number()
    .positive()
    .optional()
    .describe(
      "API requests per second and API key, sustained; default half of the tenant's, so that users of the console are not blocked",
    ),
  OVERTURE_API_KEY_BURST: z.coerce
    .number()
    .positive()
    .optional()
    .describe("API requests an API key may make in one burst; default half of the tenant's"),
  OVERTURE_BODY_TIMEOUT: z.coerce
    .number()
    .positive()
    .default(30)
    .describe(
      "Seconds in which a request's body must arrive; for an uploaded file, the longest pause between two parts",
    ),
  OVERTURE_DB_POOL: z.coerce
    .number()
    .int()
    .min(2)
    .max(20)
    .default(20)
    .describe("Maximum number of database connections per process, 2 to 20"),
  OVERTURE_STATEMENT_TIMEOUT: z.coerce
    .number()
    .positive()
    .default(20)
    .describe("Seconds after which a database statement of an API request is cancelled"),
  OVERTURE_TICK_URL: z
    .url()
    .optional()
    .describe("URL under which the database reaches functions/tick; set it only where no worker runs"),
  OVERTURE_METRICS_PORT: z.coerce
    .number()
    .int()
    .min(1)
    .max(65535)
    .optional()
    .describe("Port on which a worker answers /health/live, /health/ready and /metrics; no port unless set"),
  WORKER_TYPE: z
    .string()
    .default("all")
    .describe("The queues a worker processes: all, or a comma-separated list of modules and queues"),
  LOG_LEVEL: z
    .enum(["debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("Lowest severity of log lines that are written: debug, info, warn, error or silent"),
});

export type Config = {
  productName: string;
  supabaseUrl: string;
  publishableKey: string;
  secretKey: string;
  jwtSecret: string | null;
  dbUrl: string;
  dbPool: number;
  statementSeconds: number;
  replicaUrl: string | null;
  replicaLagSeconds: number;
  keys: { id: string; secret: Uint8Array }[];
  publicUrl: string;
  allowPrivateHosts: string[];
  corsOrigins: string[];
  modulesOff: string[];
  apiRate: number;
  apiBurst: number;
  apiKeyRate: number;
  apiKeyBurst: number;
  bodyTimeoutMs: number;
  tickUrl: string | null;
  metricsPort: number | null;
  workerType: string;
  logLevel: "debug" | "info" | "warn" | "error" | "silent";
};

export class ConfigError extends Error {
  readonly faults: string[];
  constructor(faults: string[]) {
    super(`The configuration is not usable:\n${faults.map((f) => `  - ${f}`).join("\n")}`);
    this.name = "ConfigError";
    this.faults = faults;
  }
}

/** `{"default":"sb_…"}` as the platform passes it to functions. */
const fromKeyMap = (raw: string | undefined): string | undefined => {
  if (!raw) return undefined;
  try {
    return (JSON.parse(raw) as Record<string, string>).default;
  } catch {
    return undefined;
  }
};

/** The configuration that a module declares: keys of the environment, all of which begin with OVERTURE_. */
type Configured = { name: string; config?: z.ZodObject };

/** The parsed keys of an enabled module, by the schema it declares. */
export type ConfigOf = <S extends z.ZodObject>(schema: S) => z.infer<S>;

/**
 * Parses the kernel's keys and those of the modules that OVERTURE_MODULES_OFF does not name. An empty value counts as none.
 * Throws ConfigError with every fault.
 */
export function loadConfig(
  env: Record<string, string | undefined>,
  modules: readonly Configured[] = [],
): { config: Config; configOf: ConfigOf } {
  const faults: string[] = [];
  const parse = <S extends z.ZodObject>(schema: S): z.infer<S> | undefined => {
    const known = Object.fromEntries(Object.keys(schema.shape).map((k) => [k, env[k] === "" ? undefined : env[k]]));
    const parsed = schema.safeParse(known);
    if (parsed.success) return parsed.data;
    faults.push(...parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`));
    return undefined;
  };
  const e = parse(Env);
  const off = list.parse(env.OVERTURE_MODULES_OFF);
  const own = new Map<z.ZodObject, unknown>();
  for (const { name, config } of modules) if (config && !off.includes(name)) own.set(config, parse(config));
  const publishableKey = e?.SUPABASE_PUBLISHABLE_KEY ?? fromKeyMap(e?.SUPABASE_PUBLISHABLE_KEYS);
  const secretKey = e?.SUPABASE_SECRET_KEY ?? fromKeyMap(e?.SUPABASE_SECRET_KEYS);
  const dbUrl = e?.OVERTURE_DB_URL ?? e?.SUPABASE_DB_URL;
  if (e && !publishableKey) faults.push("SUPABASE_PUBLISHABLE_KEY: is missing");
  if (e && !secretKey) faults.push("SUPABASE_SECRET_KEY: is missing");
  if (e && !dbUrl) faults.push("OVERTURE_DB_URL: is missing (SUPABASE_DB_URL serves as well)");
  if (faults.length > 0 || !e) throw new ConfigError(faults);
  const configOf: ConfigOf = (schema) => {
    if (!own.has(schema)) throw new Error("No module that is on declares this configuration.");
    return own.get(schema) as never;
  };
  const config: Config = {
    productName: e.PRODUCT_NAME,
    supabaseUrl: e.SUPABASE_URL.replace(/\/$/, ""),
    publishableKey: publishableKey!,
    secretKey: secretKey!,
    jwtSecret: e.SUPABASE_JWT_SECRET ?? null,
    dbUrl: dbUrl!,
    dbPool: e.OVERTURE_DB_POOL,
    statementSeconds: e.OVERTURE_STATEMENT_TIMEOUT,
    replicaUrl: e.OVERTURE_REPLICA_URL ?? null,
    replicaLagSeconds: e.OVERTURE_REPLICA_LAG,
    keys: e.OVERTURE_KEYS.split(",").map((pair) => {
      const [id, secret] = pair.split(":") as [string, string];
      return { id, secret: Uint8Array.from(atob(secret), (c) => c.charCodeAt(0)) };
    }),
    publicUrl: (e.OVERTURE_PUBLIC_URL ?? e.SUPABASE_URL).replace(/\/$/, ""),
    allowPrivateHosts: e.OVERTURE_ALLOW_PRIVATE_HOSTS,
    corsOrigins: e.OVERTURE_CORS_ORIGINS,
    modulesOff: e.OVERTURE_MODULES_OFF,
    apiRate: e.OVERTURE_API_RATE,
    apiBurst: e.OVERTURE_API_BURST,
    apiKeyRate: e.OVERTURE_API_KEY_RATE ?? e.OVERTURE_API_RATE / 2,
    apiKeyBurst: e.OVERTURE_API_KEY_BURST ?? Math.max(1, e.OVERTURE_API_BURST / 2),
    bodyTimeoutMs: e.OVERTURE_BODY_TIMEOUT * 1000,
    tickUrl: e.OVERTURE_TICK_URL ?? null,
    metricsPort: e.OVERTURE_METRICS_PORT ?? null,
    workerType: e.WORKER_TYPE,
    logLevel: e.LOG_LEVEL,
  };
  return { config, configOf };
}

/** The kernel's own keys: modules may not take them. */
export const KERNEL_KEYS: readonly string[] = Object.keys(Env.shape);

/** Every key with its meaning, the modules' after the kernel's: for `.env.example` and what is given to functions. */
export const configKeys = (modules: readonly Configured[]): { key: string; description: string; required: boolean }[] =>
  [Env, ...modules.flatMap((m) => (m.config ? [m.config] : []))].flatMap((schema) =>
    Object.entries(schema.shape).map(([key, field]) => ({
      key,
      description: (field as z.ZodType).description ?? "",
      required: !(field as z.ZodType).safeParse(undefined).success,
    })),
  );
