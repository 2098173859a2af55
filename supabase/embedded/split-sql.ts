const dollarTag = /\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$/y;

/**
 * Splits a script into statements, each trimmed and without its semicolon, as the Supabase CLI records them.
 * Knows quotes, dollar quotes, nested comments and `begin atomic` bodies.
 */
export function splitSql(script: string): string[] {
  const statements: string[] = [];
  let start = 0;
  let at = 0;
  let atomicDepth = 0;
  /** Length of what a sticky pattern matches here, 0 if nothing. */
  const matched = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(script)?.[0].length ?? 0;
  };
  const push = (end: number) => {
    const text = script.slice(start, end).trim();
    if (text) statements.push(text);
  };

  while (at < script.length) {
    const char = script[at]!;
    if (script.startsWith("--", at)) {
      at = endOf(script.indexOf("\n", at), script.length);
    } else if (script.startsWith("/*", at)) {
      at = skipComment(script, at);
    } else if (char === "'") {
      const escapes = /[eE]/.test(script[at - 1] ?? "") && !/[\w$]/.test(script[at - 2] ?? "");
      at += matched(escapes ? /'(?:[^'\\]|\\[^]|'')*'/y : /'(?:[^']|'')*'/y) || script.length;
    } else if (char === '"') {
      at += matched(/"(?:[^"]|"")*"/y) || script.length;
    } else if (char === "$" && !/[\w$]/.test(script[at - 1] ?? "") && matched(dollarTag)) {
      const tag = script.slice(at, at + matched(dollarTag));
      const close = script.indexOf(tag, at + tag.length);
      at = close < 0 ? script.length : close + tag.length;
    } else if (/[A-Za-z_]/.test(char)) {
      const word = script.slice(at, at + matched(/[\w$]+/y));
      const lower = word.toLowerCase();
      if (lower === "begin" && /^begin\s+atomic\b/i.test(script.slice(at, at + 40))) atomicDepth = 1;
      else if (atomicDepth > 0 && lower === "case") atomicDepth++;
      else if (atomicDepth > 0 && lower === "end") atomicDepth--;
      at += word.length;
    } else if (char === ";" && atomicDepth === 0) {
      push(at);
      start = ++at;
    } else {
      at++;
    }
  }
  push(script.length);
  return statements;
}

function skipComment(script: string, from: number): number {
  let depth = 0;
  for (let at = from; at < script.length;) {
    if (script.startsWith("/*", at)) [depth, at] = [depth + 1, at + 2];
    else if (script.startsWith("*/", at)) {
      [depth, at] = [depth - 1, at + 2];
      if (depth === 0) return at;
    } else at++;
  }
  return script.length;
}

function endOf(index: number, fallback: number): number {
  return index < 0 ? fallback : index;
}
