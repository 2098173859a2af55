import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { FINDING_KINDS } from "./finding.ts";
import { OUTCOMES, REASONS, RUN_STATUS, SITE_STATES } from "./schemas.ts";

export const researchWords: Catalogue = {
  "research.kind": entriesOf(FINDING_KINDS, {
    fact: { label: "Fact" },
    news: { label: "News" },
    hiring: { label: "Hiring", tone: "good" },
    funding: { label: "Funding", tone: "good" },
    launch: { label: "Launch", tone: "good" },
    leadership: { label: "Leadership change", tone: "good" },
    technology: { label: "Technology" },
    product: { label: "Product" },
    mention: { label: "Mention", description: "A page of the company names the contact." },
  }),
  "research.status": entriesOf(RUN_STATUS, {
    preparing: { label: "Preparing", tone: "info", traits: ["moving"] },
    running: { label: "Running", tone: "accent", traits: ["moving"] },
    done: { label: "Done", tone: "good" },
    stopped: { label: "Stopped", tone: "warn" },
  }),
  "research.outcome": entriesOf(OUTCOMES, {
    found: { label: "New findings", tone: "good" },
    nothing: { label: "Nothing new", tone: "neutral" },
    skipped: { label: "Not read", tone: "neutral" },
    waits: { label: "Waits for a person", tone: "warn" },
    failed: { label: "Failed", tone: "bad" },
  }),
  "research.reason": entriesOf(REASONS, {
    robots: { label: "The site’s robots.txt does not allow reading.", tone: "neutral" },
    no_page: { label: "The site has no home page, or it leads to another host.", tone: "neutral" },
    captcha: { label: "The site asks for a human; a person must look.", tone: "warn" },
    busy: { label: "The site asked for a pause.", tone: "warn" },
    unreachable: { label: "The site cannot be reached.", tone: "bad" },
    time: { label: "The time was over before everything was read.", tone: "info" },
    delay: { label: "The site asks for pauses longer than research waits.", tone: "neutral" },
    refused: { label: "This site is never read.", tone: "neutral" },
    no_domain: { label: "The company has no domain.", tone: "neutral" },
    fresh: { label: "It was read a short time ago.", tone: "neutral" },
    gone: { label: "The company no longer exists.", tone: "neutral" },
    budget: { label: "A budget has no room for the search.", tone: "warn" },
    provider: { label: "No search provider could answer.", tone: "bad" },
    error: { label: "It failed; the log says why.", tone: "bad" },
    member: { label: "A member stopped it.", tone: "neutral" },
    source_gone: { label: "The list no longer exists.", tone: "bad" },
  }),
  "research.site_state": entriesOf(SITE_STATES, {
    open: { label: "Open", tone: "good" },
    waits: { label: "Waits for a person", tone: "warn" },
  }),
};
