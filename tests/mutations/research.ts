import { of, type Mutation } from "./mutation.ts";

const SITE = "modules/research/site.ts";
const PAGE = "modules/research/page.ts";
const HOSTILE = "modules/research/hostile.test.ts";
const SEEN =
  "a hostile page is read for what a person would see, its instructions are dropped, and its links lead nowhere";

export const research: readonly Mutation[] = of("hostile input", [
  {
    promise: "Research fetches nothing off the company's own host",
    file: SITE,
    find: "  if (bare(url.hostname) !== bare(host) || url.href.length > LONGEST_URL) return null;\n",
    replace: "",
    test: HOSTILE,
    name: SEEN,
  },
  {
    promise: "… and nothing that robots.txt forbids",
    file: SITE,
    find: "      if (!may(url)) return null;\n",
    replace: "",
    test: "modules/research/research.test.ts",
    name: "what robots.txt forbids is left out, and a file that forbids all or cannot be read stops before the first page",
  },
  {
    promise: "A CAPTCHA ends the reading",
    file: SITE,
    find: '      if (wall) throw new SiteStopped("captcha", got.url);\n',
    replace: "",
    test: "modules/research/research.test.ts",
    name: "a CAPTCHA ends the reading: one task for a person with the reason, and nothing is fetched until a member opens the site",
  },
  {
    promise: "What a page hides is not read",
    file: PAGE,
    find: "if (DROPPED.has(name) || hides(node, styled)) continue;",
    replace: "if (DROPPED.has(name)) continue;",
    test: HOSTILE,
    name: SEEN,
  },
  {
    promise: "A page made to cost time is read in little of it",
    file: PAGE,
    find: "    if (handler.depth > MAX_DEPTH || handler.tags > MAX_TAGS) break;\n",
    replace: "",
    test: HOSTILE,
    name: "pages made to cost time are read in little of it",
  },
]);
