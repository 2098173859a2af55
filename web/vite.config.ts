import adapter from "@sveltejs/adapter-static";
import { sveltekit } from "@sveltejs/kit/vite";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

/** Where `vite dev` forwards API, auth and realtime calls; the built console is served by that gateway itself. */
const gateway = process.env.OVERTURE_PUBLIC_URL ?? "http://127.0.0.1:54321";
const proxied = { target: gateway, changeOrigin: true };

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
          // The auth and realtime endpoints may live on another host than the console.
          "connect-src": [
            "self",
            "https:",
            "wss:",
            "http://127.0.0.1:*",
            "ws://127.0.0.1:*",
            "http://localhost:*",
            "ws://localhost:*",
          ],
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
