import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { homeFrom, parseEnv, portsFrom, ROOT, type Ports } from "./home.ts";

export interface Settings {
  home: string;
  portBase: number;
  ports: Ports;
  productName: string;
}

/** Reads `.env` of the repository into this process (what is set already wins), then the instance's place and ports. */
export function loadSettings(): Settings {
  const file = join(ROOT, ".env");
  if (existsSync(file)) {
    for (const [name, value] of Object.entries(parseEnv(readFileSync(file, "utf8")))) {
      if (value !== "") process.env[name] ??= value;
    }
  }
  const portBase = Number(process.env.OVERTURE_PORT_BASE || 54_320);
  return {
    home: homeFrom(process.env),
    portBase,
    ports: portsFrom(portBase),
    productName: process.env.PRODUCT_NAME || "Overture",
  };
}
