/**
 * What shows which technology a website uses: the address of a script, the generator that the page names, a header of the answer. Only
 * what is a technology's own and stands in the open; every pattern is read in one pass.
 */

type Fingerprint = {
  name: string;
  script?: RegExp;
  generator?: RegExp;
  header?: readonly [name: string, value: RegExp];
};

const FINGERPRINTS: readonly Fingerprint[] = [
  // Content and shops.
  { name: "WordPress", generator: /^wordpress/i, script: /\/wp-(content|includes)\// },
  { name: "WooCommerce", generator: /^woocommerce/i, script: /\/plugins\/woocommerce\// },
  { name: "Shopify", script: /\/\/cdn\.shopify\.com\//, header: ["x-shopid", /./] },
  { name: "Shopware", generator: /^shopware/i, header: ["sw-version-id", /./] },
  { name: "PrestaShop", generator: /^prestashop/i },
  { name: "Magento", script: /\/static\/version\d+\/frontend\// },
  { name: "Drupal", generator: /^drupal/i, header: ["x-generator", /^drupal/i] },
  { name: "Joomla", generator: /^joomla/i },
  { name: "TYPO3", generator: /^typo3/i },
  { name: "Ghost", generator: /^ghost/i },
  { name: "Wix", generator: /^wix\.com/i, script: /\/\/static\.parastorage\.com\// },
  { name: "Squarespace", generator: /^squarespace/i, script: /\/\/(static1|assets)\.squarespace\.com\// },
  { name: "Webflow", generator: /^webflow/i },
  // Libraries and frameworks.
  { name: "React", script: /[/@]react(-dom)?[@./-]/ },
  { name: "Next.js", script: /\/_next\/static\//, header: ["x-powered-by", /^next\.js/i] },
  { name: "Vue.js", script: /\/vue(@|\.min\.js|\.js|\.runtime|\.global)/ },
  { name: "Nuxt", script: /\/_nuxt\// },
  { name: "Gatsby", generator: /^gatsby/i },
  { name: "Astro", generator: /^astro/i },
  { name: "Hugo", generator: /^hugo/i },
  { name: "jQuery", script: /\/jquery([.-]\d|\.min|\.slim|\.js)/i },
  // Sales, marketing, support.
  { name: "HubSpot", generator: /^hubspot/i, script: /\/\/js[-\w]*\.(hs-scripts\.com|hsforms\.net|hubspot\.com)\// },
  { name: "Salesforce", script: /\.(salesforce|salesforce-scrt|force|pardot)\.com\// },
  { name: "Marketo", script: /\/\/munchkin\.marketo\.net\// },
  { name: "Klaviyo", script: /\/\/static\.klaviyo\.com\// },
  { name: "Mailchimp", script: /\/\/chimpstatic\.com\// },
  { name: "Intercom", script: /\/\/widget\.intercom\.io\// },
  { name: "Zendesk", script: /\/\/static\.zdassets\.com\// },
  { name: "Drift", script: /\/\/js\.driftt\.com\// },
  { name: "Calendly", script: /\/\/assets\.calendly\.com\// },
  // Measurement and consent.
  { name: "Google Analytics", script: /\/\/www\.(google-analytics\.com\/|googletagmanager\.com\/gtag\/)/ },
  { name: "Google Tag Manager", script: /\/\/www\.googletagmanager\.com\/gtm\.js/ },
  { name: "Matomo", script: /\/(matomo|piwik)\.js/ },
  { name: "Plausible", script: /\/\/plausible\.io\/js\// },
  { name: "Hotjar", script: /\/\/static\.hotjar\.com\// },
  { name: "Segment", script: /\/\/cdn\.segment\.com\// },
  { name: "Meta Pixel", script: /\/\/connect\.facebook\.net\// },
  { name: "LinkedIn Insight Tag", script: /\/\/snap\.licdn\.com\// },
  { name: "Cookiebot", script: /\/\/consent\.cookiebot\.(com|eu)\// },
  { name: "OneTrust", script: /\/\/cdn\.cookielaw\.org\// },
  // Payment.
  { name: "Stripe", script: /\/\/js\.stripe\.com\// },
  { name: "PayPal", script: /\/\/www\.paypal\.com\/sdk\// },
  { name: "Klarna", script: /\/\/[-\w]+\.klarna(services|cdn)?\.(com|net)\// },
  // Servers and delivery.
  { name: "Nginx", header: ["server", /^(nginx|openresty)/i] },
  { name: "Apache", header: ["server", /^apache/i] },
  { name: "Microsoft IIS", header: ["server", /^microsoft-iis/i] },
  { name: "Cloudflare", header: ["server", /^cloudflare/i] },
  { name: "Amazon CloudFront", header: ["x-amz-cf-id", /./] },
  { name: "Vercel", header: ["x-vercel-id", /./] },
  { name: "Netlify", header: ["x-nf-request-id", /./] },
  { name: "PHP", header: ["x-powered-by", /^php/i] },
  { name: "ASP.NET", header: ["x-powered-by", /^asp\.net/i] },
  { name: "Express", header: ["x-powered-by", /^express/i] },
];

/** The names of the technologies that a page and the headers of its answer show, each once. */
export const technologiesOf = (
  { scripts, generators }: { scripts: readonly string[]; generators: readonly string[] },
  headers: Headers,
): string[] =>
  FINGERPRINTS.filter(
    ({ script, generator, header }) =>
      (script !== undefined && scripts.some((url) => script.test(url))) ||
      (generator !== undefined && generators.some((text) => generator.test(text))) ||
      (header !== undefined && header[1].test(headers.get(header[0]) ?? "")),
  ).map(({ name }) => name);
