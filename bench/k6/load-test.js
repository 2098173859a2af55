// For teams that use k6 (grafana.com/docs/k6); `npm run bench -- load` measures the same without it.
//   k6 run --vus 100 --duration 30s -e BASE_URL=https://outreach.example.com -e API_KEY=ovk_… bench/k6/load-test.js
// The key needs the scope *:read. Results are written to k6-results.json.
import { check } from "k6";
import http from "k6/http";
import { Rate, Trend } from "k6/metrics";

const base = (__ENV.BASE_URL || "http://127.0.0.1:54321").replace(/\/$/, "");
const headers = { authorization: `Bearer ${__ENV.API_KEY || ""}` };

// What a person at the console makes the browser ask for, as in bench/load.ts.
const MIX = [
  "/dashboard",
  "/contacts?limit=50",
  "/campaigns",
  "/messages?limit=50",
  "/contacts?limit=50&status=customer",
  "/activity",
  "/contacts?limit=50&search=sales",
  "/lists",
];

const refused = new Rate("overture_rate_limited");
const queries = new Trend("overture_db_query_p95", true);
const pool = new Trend("overture_pool_use_p95");

export const options = {
  vus: 100,
  duration: "30s",
  summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "max"],
  thresholds: {
    "http_req_duration{kind:api}": ["p(95)<500", "p(99)<1000"],
    "http_req_failed{kind:api}": ["rate<0.001"],
    "http_reqs{kind:api}": ["rate>100"],
    checks: ["rate>0.999"],
    // From the installation's own service level, asked once at the end.
    overture_db_query_p95: ["max<100"],
    overture_pool_use_p95: ["max<0.8"],
    // A rate limit below the load measures the limit: raise OVERTURE_API_RATE for the test.
    overture_rate_limited: ["rate==0"],
  },
};

export function setup() {
  if (!__ENV.API_KEY) throw new Error("API_KEY is not set: make one in Settings > API keys with the scope *:read.");
  const response = http.get(`${base}/api/v1/lists?limit=1`, { headers, tags: { kind: "setup" } });
  if (response.status !== 200) throw new Error(`${base} answers ${response.status}: ${response.body}`);
}

export default function () {
  const path = MIX[__ITER % MIX.length];
  const response = http.get(`${base}/api/v1${path}`, { headers, tags: { kind: "api", name: path.split("?")[0] } });
  refused.add(response.status === 429);
  check(response, { "answers 200": (r) => r.status === 200 });
}

export function teardown() {
  const response = http.get(`${base}/api/v1/service-level?window=1h`, { headers, tags: { kind: "teardown" } });
  if (response.status !== 200) return;
  const { database } = response.json();
  if (database.query_p95_ms !== null) queries.add(database.query_p95_ms);
  if (database.pool_use_p95 !== null) pool.add(database.pool_use_p95);
}

export function handleSummary(data) {
  const values = (name) => (data.metrics[name] ? data.metrics[name].values : {});
  const lines = Object.entries(data.metrics)
    .filter(([, m]) => m.thresholds)
    .flatMap(([name, m]) =>
      Object.entries(m.thresholds).map(([rule, t]) => `${t.ok ? "ok  " : "FAIL"} ${name} ${rule}`),
    );
  const api = values("http_req_duration{kind:api}");
  return {
    "k6-results.json": JSON.stringify(data, null, 2),
    stdout: `${lines.join("\n")}\np95 ${Math.round(api["p(95)"] || 0)} ms, p99 ${Math.round(api["p(99)"] || 0)} ms\n`,
  };
}
