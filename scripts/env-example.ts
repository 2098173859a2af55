import { configKeys } from "../modules/kernel/config.ts";

/** Prints `.env.example` from the configuration's own description. */
const lines = configKeys().map(
  ({ key, description, required }) =>
    `${description ? `# ${description}${required ? " (required)" : ""}\n` : ""}${required ? "" : "# "}${key}=`,
);
console.log(
  `# Copy to .env for a real Supabase. The embedded default generates all of this by itself.\n\n${lines.join("\n\n")}`,
);
