/**
 * `kernel.emit('name', …)` in SQL is text to the compiler: a name nobody defined would be told to nobody. Returns a fault for each
 * name that no `defineFact` in modules/ has.
 */
export function factFaults(files: readonly (readonly [path: string, text: string])[]): string[] {
  const defined = new Set<string>();
  for (const [path, text] of files)
    if (path.startsWith("modules/"))
      for (const [, name] of text.matchAll(/\bdefineFact\(\{\s*name:\s*"([^"]+)"/g)) defined.add(name!);
  return files.flatMap(([path, text]) =>
    [...text.matchAll(/\bkernel\.emit\(\s*'([^']+)'/g)]
      .filter(([, name]) => !defined.has(name!))
      .map((m) => {
        const line = text.slice(0, m.index).split("\n").length;
        return `${path}:${line}: emits ${m[1]}, which no defineFact in modules/ names`;
      }),
  );
}
