import { conformance } from "../../conformance/suite.ts";
import { peopleDataLabs } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(peopleDataLabs, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    person: {
      known: { email: "ada.lovelace@famous.com" },
      expects: { first_name: "ada", last_name: "lovelace", company_domain: "famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { email: "nobody@acme.com" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_domain: "famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { domain: "unknown.example" },
    },
  },
});
