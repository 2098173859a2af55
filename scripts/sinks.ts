/**
 * Places where text becomes code, markup, SQL or a process: the ways most holes begin. Each is allowed where the reason
 * beside it holds, and nowhere else. (eval and its like are the linter's: see .oxlintrc.json.)
 */

type Sink = {
  what: string;
  pattern: RegExp;
  /** Folders it is looked for in; everywhere outside tests when absent. */
  within?: RegExp;
  allowed: readonly [where: RegExp, reason: string][];
};

const SINKS: readonly Sink[] = [
  {
    what: "puts text into a page as markup",
    pattern: /\{@html\b|\b(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\bsrcdoc\b|dangerouslySetInnerHTML/,
    allowed: [],
  },
  {
    what: "runs text as code",
    pattern: /\bset(Timeout|Interval)\(\s*["'`]|\bimport\(\s*`|["'`]javascript:/,
    within: /^(modules|functions|web)\//,
    allowed: [],
  },
  {
    what: "takes a value for markup (raw of hono/html)",
    pattern: /(^|[^.\w])raw\(/,
    within: /^(modules|functions)\//,
    allowed: [[/^modules\/kernel\/operations\/docs-page\.ts$/, "a style sheet of its own, no value in it"]],
  },
  {
    what: "starts a process",
    pattern: /node:child_process|Deno\.Command|\bnew Worker\(|node:worker_threads|node:vm\b/,
    within: /^(modules|functions|web)\//,
    allowed: [],
  },
  {
    what: "makes SQL of text (unsafe)",
    pattern: /\.unsafe\(/,
    within: /^(modules|functions)\//,
    allowed: [
      [
        /^modules\/campaigns\/audience\/audience\.ts$/,
        "column expressions of our own table of variables, and numbers we counted",
      ],
    ],
  },
  {
    what: "switches the check of certificates off",
    pattern: /rejectUnauthorized\s*:\s*false|NODE_TLS_REJECT_UNAUTHORIZED|--unsafely-ignore-certificate-errors/,
    allowed: [],
  },
  {
    what: "uses a random number anybody can guess",
    pattern: /Math\.random\(/,
    within: /^(modules|functions)\//,
    allowed: [[/^modules\/kernel\/database\/db\.ts$/, "jitter of waiting times"]],
  },
  {
    what: "hashes with an algorithm that is broken",
    pattern: /createHash\(\s*["'](md5|sha1)["']|["']SHA-1["']/i,
    within: /^(modules|functions|web|supabase)\//,
    // A handshake of RFC 6455 would want SHA-1; the runtime does ours.
    allowed: [
      [
        /^modules\/providers\/sms\/twilio\/signature\.ts$/,
        "Twilio signs with HMAC-SHA1, which needs no hash without collisions",
      ],
    ],
  },
  {
    what: "keeps something in the browser beyond the page",
    pattern: /\b(localStorage|sessionStorage|indexedDB|document\.cookie)\b/,
    within: /^web\/src\//,
    allowed: [
      [/^web\/src\/lib\/session\.svelte\.ts$/, "the session, as supabase-js keeps it, and which team was open"],
      [/^web\/src\/lib\/theme\.svelte\.ts$/, "light or dark"],
    ],
  },
];

type SinkFault = { line: number; what: string };

const isTest = (path: string) => /\.(test|spec)\.ts$|^tests\/|\/testing\.ts$|^scripts\/sinks\.ts$/.test(path);
const isComment = (line: string) => /^\s*(\/\/|\*|\/\*)/.test(line);

export function sinksIn(path: string, text: string): SinkFault[] {
  if (isTest(path)) return [];
  const sinks = SINKS.filter(
    (s) => (s.within?.test(path) ?? true) && s.pattern.test(text) && !s.allowed.some(([where]) => where.test(path)),
  );
  if (sinks.length === 0) return [];
  return text
    .split("\n")
    .flatMap((line, i) =>
      isComment(line)
        ? []
        : sinks
            .filter((s) => s.pattern.test(line))
            .map((s) => ({ line: i + 1, what: `${s.what}; if it must, say why in scripts/sinks.ts` })),
    );
}

/** Exceptions that nothing needs any more. `files` are path and text of everything tracked. */
export function unusedExceptions(files: readonly (readonly [path: string, text: string])[]): string[] {
  return SINKS.flatMap((s) =>
    s.allowed
      .filter(([where]) => !files.some(([path, text]) => where.test(path) && s.pattern.test(text)))
      .map(([where, reason]) => `scripts/sinks.ts: nothing in ${where.source} ${s.what} any more ("${reason}")`),
  );
}
