/** Finds what looks like a secret in a file's text: known formats of keys, and literals too random to be words. */

/** Formats that mean a real key wherever they stand. */
const KNOWN: [what: string, pattern: RegExp][] = [
  ["an Anthropic key", /sk-ant-[\w-]{20,}/],
  ["an OpenAI key", /\bsk-(proj-)?[A-Za-z0-9_-]{40,}/],
  ["an AWS key", /\b(AKIA|ASIA)[0-9A-Z]{16}\b/],
  ["a GitHub token", /\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})/],
  ["a Slack token", /\bxox[abprs]-[\w-]{20,}/],
  ["a Google key", /\bAIza[\w-]{35}\b/],
  ["a Stripe key", /\b[rs]k_live_[A-Za-z0-9]{20,}/],
  ["a SendGrid key", /\bSG\.[\w-]{22}\.[\w-]{43}/],
  ["an npm token", /\bnpm_[A-Za-z0-9]{36}\b/],
  ["a Supabase secret key", /\bsb_secret_[A-Za-z0-9]{20,}/],
  ["a private key", /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}/],
];

/** Formats that tests and examples make up; in the product's own files they mean a real one. */
const OURS: [what: string, pattern: RegExp][] = [
  ["a webhook secret", /\bwhsec_[A-Za-z0-9+/]{24,}/],
  ["an API key", /\bov[kic]_[\w-]{40,}/],
  ["a Resend key", /\bre_(?=\w*\d)(?=\w*[A-Z])[A-Za-z0-9_]{24,}/],
  ["a signed token", /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}/],
  ["a key ring", /\bk\d+:[A-Za-z0-9+/]{43}=/],
  [
    "a database URL with a password",
    /\bpostgres(ql)?:\/\/\w+:(?!\$|<|password|postgres\b|\[)[^\s@/"'`$]{6,}@(?!127\.|localhost|host|db[:/])[\w.-]+/,
  ],
];

/** Bits per character; English prose has about 4, base64 of random bytes nearly 6. */
const RANDOM = 4.6;
const LITERAL = /["'`]([A-Za-z0-9+/_=-]{36,512})["'`]/g;

type Finding = { line: number; what: string };

export function secretsIn(text: string, options: { test: boolean }): Finding[] {
  const found: Finding[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    const known = (options.test ? KNOWN : [...KNOWN, ...OURS]).find(([, pattern]) => pattern.test(line));
    if (known) found.push({ line: i + 1, what: `looks like it holds ${known[0]}` });
    if (known || options.test) continue;
    for (const [, literal] of line.matchAll(LITERAL)) {
      if (/[a-z]/.test(literal!) && /[A-Z]/.test(literal!) && /\d/.test(literal!) && entropy(literal!) > RANDOM) {
        found.push({
          line: i + 1,
          what: "holds a literal too random to be a word; if it is no secret, say in words what it is",
        });
      }
    }
  }
  // A key block spans lines.
  if (KNOWN.at(-1)![1].test(text)) found.push({ line: 1, what: "looks like it holds a private key" });
  return found;
}

function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const c of text) counts.set(c, (counts.get(c) ?? 0) + 1);
  let bits = 0;
  for (const n of counts.values()) bits -= (n / text.length) * Math.log2(n / text.length);
  return bits;
}
