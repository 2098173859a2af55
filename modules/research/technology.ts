import type { Draft } from "./finding.ts";
import type { Page } from "./page.ts";

/**
 * Technologies of a site by fingerprints of our own: what scripts are loaded from, what the page names as its generator, headers. Only what is
 * seen in the source is said; what a site hides is not known.
 */

type Mark = { name: string; script?: RegExp; generator?: RegExp; header?: readonly [name: string, value: RegExp] };

const MARKS: readonly Mark[] = [
  { name: "WordPress", generator: /^wordpress/i, script: /\/wp-(?:content|includes)\// },
  { name: "WooCommerce", generator: /^woocommerce/i, script: /\/plugins\/woocommerce\// },
  { name: "Drupal", generator: /^drupal/i, header: ["x-generator", /drupal/i] },
  { name: "TYPO3", generator: /^typo3/i, script: /\/typo3(?:temp|conf)\// },
  { name: "Joomla", generator: /^joomla/i },
  { name: "Contao", generator: /^contao/i },
  { name: "Ghost", generator: /^ghost/i },
  { name: "Hugo", generator: /^hugo/i },
  { name: "Shopify", script: /cdn\.shopify\.com/, header: ["x-shopid", /./] },
  { name: "Shopware", generator: /^shopware/i, script: /\/bundles\/storefront\// },
  { name: "Magento", script: /\/static\/version\d+\/frontend\// },
  { name: "Wix", generator: /^wix/i, script: /static\.parastorage\.com/ },
  { name: "Squarespace", script: /static1?\.squarespace\.com/ },
  { name: "Webflow", generator: /^webflow/i, script: /(?:assets|uploads-ssl)\.webflow\.com/ },
  { name: "Next.js", script: /\/_next\/static\// },
  { name: "Nuxt", script: /\/_nuxt\// },
  { name: "HubSpot", script: /js(?:-[a-z0-9]+)?\.(?:hs-scripts|hsforms|hs-analytics)\.(?:com|net)/ },
  { name: "Salesforce Pardot", script: /pi\.pardot\.com/ },
  { name: "Marketo", script: /munchkin\.marketo\.net/ },
  { name: "Intercom", script: /widget\.intercom\.io/ },
  { name: "Zendesk", script: /static\.zdassets\.com/ },
  { name: "Drift", script: /js\.driftt\.com/ },
  { name: "Google Analytics", script: /google-analytics\.com\/|googletagmanager\.com\/gtag/ },
  { name: "Google Tag Manager", script: /googletagmanager\.com\/gtm/ },
  { name: "Matomo", script: /\/(?:matomo|piwik)\.js|cdn\.matomo\.cloud/ },
  { name: "Plausible", script: /plausible\.io\/js/ },
  { name: "Hotjar", script: /static\.hotjar\.com/ },
  { name: "Segment", script: /cdn\.segment\.com/ },
  { name: "Stripe", script: /js\.stripe\.com/ },
  { name: "Klaviyo", script: /static\.klaviyo\.com/ },
  { name: "Cloudflare", header: ["server", /^cloudflare/i] },
  { name: "Vercel", header: ["server", /^vercel/i] },
  { name: "Netlify", header: ["server", /^netlify/i] },
];

/** What gives the technology away, as it stands in the source; null: nothing. */
function seen({ script, generator, header }: Mark, page: Page, headers: Headers): string | null {
  if (generator?.test(page.generator)) return page.generator;
  const from = script && page.scripts.find((s) => script.test(s));
  if (from) return from;
  const value = header && headers.get(header[0]);
  return value && header[1].test(value) ? `${header[0]}: ${value.slice(0, 100)}` : null;
}

export function technologiesOf(page: Page, headers: Headers, name: string): Draft[] {
  return MARKS.flatMap((mark): Draft[] => {
    const quote = seen(mark, page, headers);
    if (quote === null) return [];
    return [
      {
        kind: "technology",
        statement: `The website of ${name} uses ${mark.name}.`,
        quote,
        url: page.url,
        confidence: 85,
        provider: "website",
        data: { field: "technology", value: mark.name },
        same: `technology|${mark.name.toLowerCase()}`,
      },
    ];
  });
}
