import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".webp": "image/webp",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
  ".map": "application/json",
  ".wasm": "application/wasm",
};

const securityHeaders = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
};

/** Serves a single-page app from a folder: files as they are, every other page address as index.html. */
export class StaticSite {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  get exists(): boolean {
    return existsSync(join(this.#root, "index.html"));
  }

  async fetch(request: Request): Promise<Response> {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return Response.json({ error: "Not found" }, { status: 404 });
    }
    const path = safePath(new URL(request.url).pathname);
    if (path === null) return new Response("Bad request", { status: 400 });
    const asset = extname(path) !== "" || path.startsWith(`${sep}_app${sep}`);
    const file = path === sep ? "index.html" : path;
    const found = (await isFile(join(this.#root, file))) ? file : asset ? null : "index.html";
    if (found === null) return new Response("Not found", { status: 404, headers: { "content-type": "text/plain" } });
    return await this.#answer(request, found);
  }

  async #answer(request: Request, file: string): Promise<Response> {
    let content: Buffer;
    try {
      content = await readFile(join(this.#root, file));
    } catch {
      return new Response("The console has not been built: npm run build:web\n", { status: 503 });
    }
    const type = types[extname(file)] ?? "application/octet-stream";
    const headers = new Headers({ ...securityHeaders, "content-type": type });
    // Built files carry a hash in their name; everything else may change with the next build.
    const immutable = file.startsWith(`${sep}_app${sep}immutable${sep}`);
    headers.set("cache-control", immutable ? "public, max-age=31536000, immutable" : "no-cache");
    const tag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
    headers.set("etag", tag);
    if (type.startsWith("text/html")) headers.set("content-security-policy", policyOf(content.toString("utf8")));
    if (request.headers.get("if-none-match") === tag) return new Response(null, { status: 304, headers });
    headers.set("content-length", String(content.length));
    return new Response(request.method === "HEAD" ? null : new Uint8Array(content), { headers });
  }
}

/** The page's own policy (it knows the hashes of its inline scripts), plus what a meta element cannot say. */
function policyOf(html: string): string {
  const meta = /<meta\s+http-equiv="content-security-policy"\s+content="([^"]*)"/i.exec(html)?.[1];
  const own = meta?.replaceAll("&#39;", "'").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
  return [own?.replace(/;\s*$/, ""), "frame-ancestors 'none'"].filter(Boolean).join("; ");
}

/** A path inside the root, or null for one that tries to leave it. */
function safePath(pathname: string): string | null {
  try {
    const path = normalize(decodeURIComponent(pathname));
    return path.includes("\0") || path.split(sep).includes("..") ? null : path;
  } catch {
    return null;
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isFile() ?? false;
}
