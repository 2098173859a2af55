import { of, type Mutation } from "./mutation.ts";

const WEBSITE = "modules/providers/enrichment/website/adapter.ts";
const PAGE = "modules/providers/enrichment/website/page.ts";
const WEBSITE_TEST = "modules/providers/enrichment/website/website.test.ts";
const CUSTOM = "modules/providers/enrichment/custom_api/adapter.ts";

/** What other people's websites and endpoints answer. */
export const visits: readonly Mutation[] = of("hostile input", [
  {
    promise: "A website's robots.txt is obeyed",
    file: WEBSITE,
    find: "rules?.isAllowed(target.href, AGENT) ?? true",
    replace: "true",
    test: WEBSITE_TEST,
    name: "%s forbids it by robots.txt: refused, and the page is not asked for",
  },
  {
    promise: "… also that of a host that it redirects to",
    file: WEBSITE,
    find: "    await stopAtRobots(visit, url);",
    replace: "    if (hop === 0) await stopAtRobots(visit, url);",
    test: WEBSITE_TEST,
    name: "a redirect is followed after the robots.txt of the next host has been asked",
  },
  {
    promise: "… and one that cannot be read forbids everything",
    file: WEBSITE,
    find: "    if (response.status === 429 || response.status >= 500) stopAtStatus(url.host, response);\n",
    replace: "",
    test: WEBSITE_TEST,
    name: "a robots.txt that cannot be read forbids everything for now",
  },
  {
    promise: "A website that asks for a human is left alone",
    file: WEBSITE,
    find: "  if (wall) end(",
    replace: "  if (false && wall) end(",
    test: WEBSITE_TEST,
    name: "%s wants a human: refused, and nothing more is tried",
  },
  {
    promise: "The name of a website is no other part of an address",
    file: WEBSITE,
    find: "if (!isDomain(domain))",
    replace: "if (false)",
    test: WEBSITE_TEST,
    name: "%j is no name of a website, and is not asked for",
  },
  {
    promise: "A page nested without end holds nobody up",
    file: PAGE,
    find: " && seen.tags <= MAX_TAGS && seen.deepest <= MAX_DEPTH",
    replace: "",
    test: WEBSITE_TEST,
    name: "a page nested without end is read up to a depth, at once",
  },
  {
    promise: "What a page says is cleaned before it is a value",
    file: PAGE,
    find: `    .replace(/<[^<>]{0,200}>/g, " ")\n`,
    replace: "",
    test: WEBSITE_TEST,
    name: "a hostile page is text: cleaned, cut, and nothing that only looks like a number or a LinkedIn page",
  },
  {
    promise: "A team's endpoint answers in fields that exist",
    file: CUSTOM,
    find: "values: z.strictObject(",
    replace: "values: z.object(",
    test: "modules/providers/enrichment/custom_api/custom_api.test.ts",
    name: "a field outside the vocabulary is refused by its name, and takes only its own question with it",
  },
]);
