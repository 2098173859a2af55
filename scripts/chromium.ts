import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chromium } from "@playwright/test";

/** A Chromium for the browser tests: the system's, else Playwright's own, else (root on Debian) the distribution's package. */
export async function ensureChromium(): Promise<{ path: string; reason?: never } | { path: null; reason: string }> {
  const found = systemChromium();
  if (found) return { path: found };
  if (existsSync(chromium.executablePath())) return { path: chromium.executablePath() };
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    console.log("Installing Chromium with apt-get …");
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    spawnSync("apt-get", ["update", "-qq"], { stdio: "inherit", env });
    spawnSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"], {
      stdio: ["ignore", "ignore", "inherit"],
      env,
    });
    const installed = systemChromium();
    if (installed) return { path: installed };
    return { path: null, reason: "apt-get could not install chromium." };
  }
  return { path: null, reason: "no Chromium found. Install one, or run `npx playwright install chromium`." };
}

function systemChromium(): string | null {
  if (process.env.CHROMIUM_PATH && existsSync(process.env.CHROMIUM_PATH)) return process.env.CHROMIUM_PATH;
  const mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
  if (existsSync(mac)) return mac;
  for (const name of ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    } catch {
      // not this one
    }
  }
  return null;
}
