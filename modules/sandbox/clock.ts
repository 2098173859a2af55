/** Delays at a chosen speed. Everything pending ends with `stop`, so that nothing outlives its server. */
export type Clock = ReturnType<typeof createClock>;

export function createClock(speed: number) {
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const running = new Set<Promise<void>>();
  let stopped = false;
  const clock = {
    /** Runs `task` after so many seconds of the sandbox's time. */
    after(seconds: number, task: () => void | Promise<void>) {
      if (stopped) return;
      const timer = setTimeout(
        () => {
          timers.delete(timer);
          const run = Promise.resolve()
            .then(task)
            .catch((error: unknown) =>
              console.error(JSON.stringify({ level: "error", msg: "sandbox task failed", error: String(error) })),
            )
            .finally(() => running.delete(run));
          running.add(run);
        },
        Math.max(0, (seconds * 1000) / speed),
      );
      timers.add(timer);
    },
    /** Things that have not happened yet. */
    pending: () => timers.size + running.size,
    cancel() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
    async stop() {
      stopped = true;
      clock.cancel();
      await Promise.allSettled(running);
    },
  };
  return clock;
}
