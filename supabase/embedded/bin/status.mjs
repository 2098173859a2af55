import { run } from "./bootstrap.mjs";

run("status.ts", { installs: false });
