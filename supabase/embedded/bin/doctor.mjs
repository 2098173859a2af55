import { run } from "./bootstrap.mjs";

run("doctor.ts", { installs: false });
