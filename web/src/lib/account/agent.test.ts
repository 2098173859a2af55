import { expect, test } from "vitest";
import { agentLabel } from "./agent.ts";

test("a session is named by its browser and system; what is no browser by what it calls itself", () => {
  const windows =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
  expect(agentLabel(windows)).toBe("Chrome on Windows");
  expect(agentLabel(`${windows} Edg/140.0`)).toBe("Edge on Windows");
  expect(agentLabel("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")).toBe("Firefox on Linux");
  const phone =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1";
  expect(agentLabel(phone)).toBe("Safari on iOS");
  expect(agentLabel("curl/8.9.1")).toBe("curl/8.9.1");
  expect(agentLabel(null)).toBe("Unknown browser or program");
  expect(agentLabel("x".repeat(500))).toHaveLength(61);
});
