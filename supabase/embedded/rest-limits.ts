import { jwtVerify } from "jose";
import { createShares } from "../../modules/kernel/database/shares.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { Buckets } from "./buckets.ts";

/**
 * What stands before the embedded REST server, which runs whatever is asked: no filter whose cost nobody can tell, embeds of bounded
 * depth and size, and a few requests of one caller at once. How long a statement takes is bounded by its database login, and how many
 * bytes it answers by the pool (lite-pool.ts).
 */

/** Characters of a query string; filters of some hundred ids fit. */
const MOST_QUERY = 16_000;
/** Requests of one caller that run at once; the others wait. The server has ten connections. */
const AT_ONCE = 4;
/** Those that wait, each with its body; beyond, a caller is told to come back. */
const MOST_WAITING = 50;
/** Requests of one team, whoever of it asks: the other teams keep three connections. */
const TEAM_AT_ONCE = 7;
const MOST_EMBEDS = 3;
/** Rows of a request with embeds, and of each embed: together they bound the answer, which is built in memory. */
const ROWS_WITH_EMBEDS = 100;

/** Not filters: their values are columns, numbers and names. */
const CONTROLS = new Set(["select", "order", "limit", "offset", "columns", "on_conflict"]);
/** … of an embed. A path into JSON may end like one (custom->>a.limit), and is a column. */
const CONTROL_OF_EMBED = /^(?!.*->).*\.(?:order|limit|offset)$/s;
const REGEX = /^(?:not\.)?i?match(?:\((?:any|all)\))?\./i;
/** What stands before the column in a part of and=(…) and or=(…). */
const OPENERS = /^(?:[\s(]|(?:not\.)?(?:and|or)\s*\()*/;

type Refusal = { message: string; hint: string };

/** The query as it may be run, or why it may not. */
export function limitQuery(url: URL): URL | Refusal {
  if (url.search.length > MOST_QUERY)
    return {
      message: `The query is longer than ${MOST_QUERY} characters.`,
      hint: "Ask in several requests, or use the API.",
    };
  for (const [name, value] of url.searchParams) {
    if (CONTROLS.has(name) || CONTROL_OF_EMBED.test(name)) continue;
    const filters = /(?:^|\.)(?:and|or)$/.test(name) ? filtersIn(value) : [value];
    if (filters.some((filter) => REGEX.test(filter)))
      return {
        message: `The filter ${name} uses a regular expression, which is not allowed here.`,
        hint: "Use like, ilike or a full-text filter.",
      };
  }
  const embeds = embedsOf(url.searchParams.getAll("select").join(","));
  if (embeds === null)
    return {
      message: `A request embeds at most ${MOST_EMBEDS} relations, none within another, and its brackets match.`,
      hint: "Ask for the inner rows in a request of their own.",
    };
  if (embeds.length === 0) return url;
  const limited = new URL(url);
  for (const name of ["limit", ...embeds.map((embed) => `${embed}.limit`)]) {
    const wanted = Number(limited.searchParams.get(name) ?? Number.NaN);
    if (!(wanted <= ROWS_WITH_EMBEDS)) limited.searchParams.set(name, String(ROWS_WITH_EMBEDS));
  }
  return limited;
}

/**
 * Operators and values of a tree of filters, in time linear in its length. The REST server takes whatever stands before a part's first
 * dot for its column, in brackets or not (`id(x).match.…`), so the operator is what follows that dot.
 */
const filtersIn = (tree: string): string[] =>
  tree.split(",").map((part) => {
    const leaf = part.replace(OPENERS, "");
    return leaf.slice(leaf.indexOf(".") + 1);
  });

/** Names under which a `select` embeds relations; null when one is within another, brackets do not match, or there are too many. */
function embedsOf(select: string): string[] | null {
  const names: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < select.length; i++) {
    const c = select[i];
    if (c === '"') i = Math.max(i, select.indexOf('"', i + 1));
    else if (c === "(") {
      // An aggregate (amount.sum()) embeds nothing.
      if (select[i + 1] !== ")") {
        if (++depth > 1) return null;
        const [alias] = select
          .slice(from, i)
          .replace(/^\.\.\./, "")
          .split(":", 1);
        names.push(alias!.trim().split("!", 1)[0]!);
        if (names.length > MOST_EMBEDS) return null;
      } else i++;
    } else if (c === ")") {
      // What follows would be taken for outside again, and each name be read from the same beginning.
      if (--depth < 0) return null;
    } else if (c === ",") from = i + 1;
  }
  return names;
}

/** Requests of one caller at once, and per second after that. The console asks REST nothing, so this is a script's. */
const RATE = { capacity: 1_000, perSecond: 50 };

/**
 * Gives each caller a share of the server: at most AT_ONCE requests under way, MOST_WAITING that wait, and RATE. A caller is a user,
 * however many tokens they have, and for everyone else the address. The callers of a team, which `teamOf` knows, share TEAM_AT_ONCE.
 * Beyond, the answer is 429.
 */
export function createRestTurns(
  jwtSecret: string,
  { now, teamOf = async () => null }: { now?: () => number; teamOf?: (caller: string) => Promise<string | null> } = {},
) {
  const key = new TextEncoder().encode(jwtSecret);
  const inTurn = createShares(AT_ONCE, MOST_WAITING);
  const inTeam = createShares(TEAM_AT_ONCE);
  const buckets = new Buckets(now);

  async function callerOf(request: Request, address: string): Promise<string> {
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    if (!token) return address;
    // Only a token that is right names its user: a forged one would use up the share of somebody else.
    return await jwtVerify(token, key, { algorithms: ["HS256"] }).then(
      ({ payload }) => payload.sub ?? address,
      () => address,
    );
  }

  return async (request: Request, address: string, fn: () => Promise<Response>): Promise<Response> => {
    const caller = await callerOf(request, address);
    const wait = buckets.take(caller, RATE);
    if (wait > 0) return tooMany(`More than ${RATE.perSecond} requests per second. Try again later.`, wait);
    try {
      return await inTurn(caller, async () => await inTeam((await teamOf(caller)) ?? caller, fn));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return tooMany(error.message, error.retryAfter ?? 1);
    }
  };
}

const tooMany = (message: string, seconds: number): Response =>
  Response.json(
    { code: "PGRST003", message, hint: null, details: null },
    { status: 429, headers: { "retry-after": String(seconds) } },
  );

/** Answers as PostgREST does what `limitQuery` refuses. */
export const refusalOf = ({ message, hint }: Refusal): Response =>
  Response.json({ code: "PGRST100", message, hint, details: null }, { status: 400 });
