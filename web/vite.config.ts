import adapter from "@sveltejs/adapter-static";
import { sveltekit } from "@sveltejs/kit/vite";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

/** Where `vite dev` forwards API, auth and realtime calls; the built console is served by that gateway itself. */
const gateway = process.env.OVERTURE_PUBLIC_URL ?? "http://127.0.0.1:54321";
const proxied = { target: gateway, changeOrigin: true };

/**
 * Origins besides its own that the console may talk to. None where one host serves console, auth and realtime, as the gateway and the
 * Caddyfile do; else the Supabase's, as in OVERTURE_CONSOLE_CONNECT="https://ref.supabase.co".
 */
const elsewhere = (process.env.OVERTURE_CONSOLE_CONNECT ?? "")
  .split(/[\s,]+/)
  .filter(Boolean)
  .map((given) => new URL(given))
  .flatMap(({ protocol, host }) => [
    `${protocol}//${host}`,
    `${protocol === "https:" ? "wss:" : "ws:"}//${host}`,
  ]) as `https://${string}.${string}`[];

export default defineConfig({
  plugins: [
    tailwindcss(),
    sveltekit({
      adapter: adapter({ pages: "build", assets: "build", fallback: "index.html", precompress: false }),
      csp: {
        mode: "hash",
        directives: {
          "default-src": ["self"],
          "script-src": ["self"],
          // Floating panels and charts position themselves with style attributes.
          "style-src": ["self", "unsafe-inline"],
          "img-src": ["self", "data:"],
          "font-src": ["self"],
          "connect-src": ["self", ...elsewhere],
          "object-src": ["none"],
          "base-uri": ["self"],
          "form-action": ["self"],
        },
      },
      compilerOptions: { runes: true },
    }),
  ],
  server: {
    proxy: { "/api": proxied, "/auth/v1": proxied, "/rest/v1": proxied, "/realtime/v1": { ...proxied, ws: true } },
  },
  // No data: URLs for fonts and pictures: the CSP wants files.
  build: { target: "es2023", chunkSizeWarningLimit: 900, assetsInlineLimit: 0 },
});
