import { run } from "./bootstrap.mjs";

run("stop.ts", { installs: false });
