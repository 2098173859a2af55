import { boot } from "../../modules/boot.ts";
import { createApp } from "./app.ts";

Deno.serve(createApp(await boot(Deno.env.toObject())).fetch);
