/**
 * `work`, one run at a time: a call while it runs has it run once more afterwards, however many calls there were. A flood of
 * notifications then costs no memory. `work` handles its own errors. The promise resolves when nothing is left to run.
 */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let again = false;
  const run = async () => {
    try {
      do {
        again = false;
        await work();
      } while (again);
    } finally {
      running = undefined;
    }
  };
  return () => {
    if (running) again = true;
    return (running ??= run());
  };
}
