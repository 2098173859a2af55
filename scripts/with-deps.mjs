// `node scripts/with-deps.mjs scripts/x.ts …`: installs what is missing, then runs the script under the project's own Node.
import { run } from "../supabase/embedded/bin/bootstrap.mjs";

const [script] = process.argv.splice(2, 1);
run(`../../${script}`, { installs: true });
