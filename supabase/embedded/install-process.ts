/**
 * The install step in a process of its own: it loads every module, which the supervisor would otherwise hold in memory for as long as it
 * runs. Argument: the URL of modules/boot.ts. Prints {"claimUrl"} as JSON, or says on stderr what is wrong and ends with 1.
 */
type Boot = { install?: (env: NodeJS.ProcessEnv) => Promise<{ claimUrl: string | null }> };

try {
  const { install } = (await import(process.argv[2]!)) as Boot;
  console.log(JSON.stringify({ claimUrl: (await install?.(process.env))?.claimUrl ?? null }));
} catch (error) {
  console.error((error as Error).stack ?? String(error));
  process.exitCode = 1;
}
