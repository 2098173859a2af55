// The console is a single-page app: the gateway serves one file and everything else comes from the API.
export const ssr = false;
export const prerender = false;
