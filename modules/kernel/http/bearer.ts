/** The bearer token of a request's headers, without the scheme; null when there is none. */
export const bearerOf = (headers: Headers): string | null =>
  /^Bearer +(.+)$/i.exec(headers.get("authorization") ?? "")?.[1]?.trim() ?? null;
