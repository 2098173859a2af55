import { BOUNDS } from "./samples.ts";

/** Counters and histograms in the Prometheus text format (version 0.0.4). Per process; the scraper adds them up. */

const BUCKETS = BOUNDS.http;

type Labels = Record<string, string>;

const labelText = (labels: Labels) =>
  Object.entries(labels)
    .map(([k, v]) => `${k}="${v.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`)
    .join(",");

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
  count(name: string, help: string, labels?: Labels, by?: number): void;
  /** Seconds. */
  observe(name: string, help: string, seconds: number, labels?: Labels): void;
  render(gauges?: Gauge[]): string;
};

export function createMetrics(): Metrics {
  const counters = new Map<string, { help: string; series: Map<string, number> }>();
  const histograms = new Map<
    string,
    { help: string; series: Map<string, { counts: number[]; sum: number; n: number }> }
  >();
  return {
    count(name, help, labels = {}, by = 1) {
      let c = counters.get(name);
      if (!c) counters.set(name, (c = { help, series: new Map() }));
      const key = labelText(labels);
      c.series.set(key, (c.series.get(key) ?? 0) + by);
    },
    observe(name, help, seconds, labels = {}) {
      let h = histograms.get(name);
      if (!h) histograms.set(name, (h = { help, series: new Map() }));
      const key = labelText(labels);
      let s = h.series.get(key);
      if (!s) h.series.set(key, (s = { counts: BUCKETS.map(() => 0), sum: 0, n: 0 }));
      BUCKETS.forEach((le, i) => seconds <= le && s!.counts[i]!++);
      s.sum += seconds;
      s.n++;
    },
    render(gauges = []) {
      const out: string[] = [];
      const line = (name: string, labels: string, value: number) =>
        out.push(`${name}${labels ? `{${labels}}` : ""} ${value}`);
      for (const [name, c] of counters) {
        out.push(`# HELP ${name} ${c.help}`, `# TYPE ${name} counter`);
        for (const [labels, value] of c.series) line(name, labels, value);
      }
      for (const [name, h] of histograms) {
        out.push(`# HELP ${name} ${h.help}`, `# TYPE ${name} histogram`);
        for (const [labels, s] of h.series) {
          const also = labels ? `${labels},` : "";
          BUCKETS.forEach((le, i) => line(`${name}_bucket`, `${also}le="${le}"`, s.counts[i]!));
          line(`${name}_bucket`, `${also}le="+Inf"`, s.n);
          line(`${name}_sum`, labels, s.sum);
          line(`${name}_count`, labels, s.n);
        }
      }
      const named = new Set<string>();
      for (const g of gauges) {
        const family = g.family ?? g.name;
        if (!named.has(family)) out.push(`# HELP ${family} ${g.help}`, `# TYPE ${family} ${g.type ?? "gauge"}`);
        named.add(family);
        line(g.name, labelText(g.labels ?? {}), g.value);
      }
      return out.join("\n") + "\n";
    },
  };
}
