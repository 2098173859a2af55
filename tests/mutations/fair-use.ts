import { of, type Mutation } from "./mutation.ts";

const SHARES = "modules/kernel/database/shares.test.ts";
const REST_LIMITS = "supabase/embedded/rest-limits.test.ts";

export const fairUse: readonly Mutation[] = of("hostile input", [
  {
    promise: "No request's statement runs for long",
    file: "modules/kernel/database/db.ts",
    find: "scope.request ? config.statementSeconds : JOB_STATEMENT_SECONDS",
    replace: "JOB_STATEMENT_SECONDS",
    test: SHARES,
    name: "a statement of %s request is cancelled after its time",
  },
  {
    promise: "A tenant's slow requests leave connections for the others",
    file: "modules/kernel/database/db.ts",
    find: "scope.request && scope.tenantId !== null ? inShare(scope.tenantId, fn) : fn();",
    replace: "fn();",
    test: SHARES,
    name: "a tenant whose requests are slow leaves connections for the others",
  },
  {
    promise: "… on the embedded REST server too",
    file: "supabase/embedded/rest-limits.ts",
    find: "const AT_ONCE = 4;",
    replace: "const AT_ONCE = 400;",
    test: REST_LIMITS,
    name: "one caller's slow requests wait for each other and leave the others their connections",
  },
  {
    promise: "… where no statement runs for long either",
    file: "supabase/embedded/platform/20-auth.sql",
    find: "alter role embedded_api set statement_timeout = '8s';\n",
    replace: "",
    test: REST_LIMITS,
    name: "a statement runs under the limit of its login, which changing the role does not lift",
  },
  {
    promise: "… no filter is a regular expression",
    file: "supabase/embedded/rest-limits.ts",
    find: "REGEX_IN_TREE : REGEX).test(value))",
    replace: "REGEX_IN_TREE : REGEX).test(value) && false)",
    test: REST_LIMITS,
    name: "a regular expression is refused with the way out: %s",
  },
  {
    promise: "… and embeds are few and bounded",
    file: "supabase/embedded/rest-limits.ts",
    find: "    if (!(wanted <= ROWS_WITH_EMBEDS)) limited",
    replace: "    if (wanted > 1e9) limited",
    test: REST_LIMITS,
    name: "embeds are few, not nested, and bounded on both levels",
  },
  {
    promise: "… and an answer has bounded bytes",
    file: "supabase/embedded/lite-pool.ts",
    find: "if (slot.allowance >= 0) return;",
    replace: "if (slot.allowance !== null) return;",
    test: REST_LIMITS,
    name: "an answer of more bytes than fit is refused, and the next request is answered",
  },
  {
    promise: "… and no other token gives a caller a second share",
    file: "supabase/embedded/rest-limits.ts",
    find: "({ payload }) => payload.sub ?? address,",
    replace: "() => token,",
    test: REST_LIMITS,
    name: "a caller is a user with whichever token, else the address; nobody uses up another's rate with a forged token",
  },
  {
    promise: "The sandbox calls nothing of its machine but the installation's links and webhooks",
    file: "modules/sandbox/reach.ts",
    find: "own.some((start) => (url.origin + url.pathname).startsWith(start))",
    replace: "isLoopback(url.hostname)",
    test: "modules/sandbox/reach.test.ts",
    name: "another path of it is not: %s",
  },
]);
