/** Replaced by `npm run gen`: the paths of the OpenAPI document. Until then every path is allowed. */
export type paths = Record<string, any>;
