import { defineConfig } from "vitest/config";

/** One runner for everything that is not a browser. The shared stack starts once; each file makes its own tenants. */
export default defineConfig({
  test: {
    include: [
      "modules/**/*.test.ts",
      "functions/**/*.test.ts",
      "supabase/**/*.test.ts",
      "tests/**/*.test.ts",
      "scripts/**/*.test.ts",
      "web/src/**/*.test.ts",
    ],
    exclude: ["**/node_modules/**", "tests/e2e/**"],
    globalSetup: ["tests/support/global.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: more forks would only wait for each other and for Postgres.
    maxWorkers: 2,
    passWithNoTests: false,
  },
});
