import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What boot returns, as far as the gateway is concerned. */
interface Kernel {
  close(): Promise<void>;
}

interface FunctionApp {
  fetch(request: Request, env?: unknown): Response | Promise<Response>;
}

/** The edge functions the gateway serves in this process. */
export const FUNCTIONS = ["api", "webhooks", "links", "tick"] as const;

/** Loads the composition root and every function; a fault in one of them fails the whole start, by name. */
export class Functions {
  readonly #apps: Map<string, FunctionApp>;
  readonly #kernel: Kernel;

  constructor(apps: Map<string, FunctionApp>, kernel: Kernel) {
    this.#apps = apps;
    this.#kernel = kernel;
  }

  static async load(root: string, env: Record<string, string | undefined>): Promise<Functions> {
    const boot = await load<{ boot(env: Record<string, string | undefined>): Promise<Kernel> }>(
      root,
      "modules/boot.ts",
      "boot",
    );
    const kernel = await boot.boot(env);
    const apps = new Map<string, FunctionApp>();
    for (const name of FUNCTIONS) {
      const path = `functions/${name}/app.ts`;
      const module = await load<{ createApp(kernel: Kernel): FunctionApp }>(root, path, "createApp");
      try {
        apps.set(name, await module.createApp(kernel));
      } catch (error) {
        throw new Error(`The function ${path} does not load: ${(error as Error).message}`, { cause: error });
      }
    }
    return new Functions(apps, kernel);
  }

  /** The answer of a function, or null when the address belongs to none. */
  async fetch(request: Request, peer: string): Promise<Response | null> {
    const url = new URL(request.url);
    const target = functionPath(url.pathname);
    if (target === null) return null;
    const app = this.#apps.get(target.split("/")[1]!);
    if (!app) return Response.json({ code: "NOT_FOUND", message: "Requested function was not found" }, { status: 404 });
    url.pathname = target;
    const forwarded = new Request(url, request);
    // As a proxy does: what the caller claims stays in front, what we saw comes last.
    forwarded.headers.append("x-forwarded-for", peer);
    return await app.fetch(forwarded);
  }

  async close(): Promise<void> {
    await this.#kernel.close();
  }
}

/** The path a function sees, as behind Supabase's router (`/functions/v1` stripped); null for addresses of others. */
export function functionPath(pathname: string): string | null {
  const direct = /^\/functions\/v1(\/.*)$/.exec(pathname);
  if (direct) return direct[1]!;
  if (/^\/(api|webhooks|links)(\/|$)/.test(pathname)) return pathname;
  if (/^\/(health(\/.*)?|metrics|auth\/(register|signup|login|refresh|me|logout))$/.test(pathname))
    return `/api${pathname}`;
  return null;
}

async function load<T>(root: string, path: string, member: string): Promise<T> {
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(join(root, path)).href)) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`${path} does not load: ${(error as Error).message}`, { cause: error });
  }
  if (typeof module[member] !== "function") throw new Error(`${path} must export a function named ${member}.`);
  return module as T;
}
