import { Counter, Histogram, type Metric, Registry } from "prom-client";
import { BOUNDS } from "./samples.ts";

/** Counters and histograms of this process, in the Prometheus text format. The scraper adds the processes up. */

type Labels = Record<string, string>;

/** A value read when it is asked for. `family` and `type` where it is a part of something stored, else a gauge of its own name. */
export type Gauge = {
  name: string;
  help: string;
  labels?: Labels;
  value: number;
  type?: "gauge" | "counter" | "histogram";
  family?: string;
};

export type Metrics = {
  /** A name always has the same labels. */
  count(name: string, help: string, labels?: Labels, by?: number): void;
  /** Seconds. */
  observe(name: string, help: string, seconds: number, labels?: Labels): void;
  render(gauges?: readonly Gauge[]): Promise<string>;
};

/** What `render` answers with. */
export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

export function createMetrics(): Metrics {
  const registry = new Registry();
  const counters = new Map<string, Counter>();
  const histograms = new Map<string, Histogram>();
  const common = (name: string, help: string, labels: Labels) => ({
    name,
    help,
    labelNames: Object.keys(labels),
    registers: [registry],
  });
  return {
    count(name, help, labels = {}, by = 1) {
      let counter = counters.get(name);
      if (!counter) counters.set(name, (counter = new Counter(common(name, help, labels))));
      counter.inc(labels, by);
    },
    observe(name, help, seconds, labels = {}) {
      let histogram = histograms.get(name);
      if (!histogram) {
        histogram = new Histogram({ ...common(name, help, labels), buckets: [...BOUNDS.http] });
        histograms.set(name, histogram);
      }
      histogram.observe(labels, seconds);
    },
    async render(gauges = []) {
      const read = new Registry();
      for (const family of families(gauges)) read.registerMetric(family as unknown as Metric);
      return [await registry.metrics(), await read.metrics()].filter((text) => text.trim() !== "").join("");
    },
  };
}

/** Values read elsewhere as metrics of the library: it only writes them down. */
function families(gauges: readonly Gauge[]) {
  const byName = new Map<string, Gauge[]>();
  for (const gauge of gauges) {
    const family = gauge.family ?? gauge.name;
    byName.set(family, [...(byName.get(family) ?? []), gauge]);
  }
  return [...byName].map(([name, parts]) => ({
    name,
    get: () =>
      Promise.resolve({
        name,
        help: parts[0]!.help,
        type: parts[0]!.type ?? "gauge",
        values: parts.map((part) => ({ metricName: part.name, labels: part.labels ?? {}, value: part.value })),
      }),
  }));
}
