import process from "node:process";
import { install } from "../modules/boot.ts";

/** After `supabase db push` on a real stack: registers schedules and settings, and prints the link for the first account. */
try {
  const { claimUrl } = await install(process.env);
  console.log(
    claimUrl ? `Open once, for the first account: ${claimUrl}` : "Installed. Somebody has an account already.",
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
