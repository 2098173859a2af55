/**
 * Enhanced mail status codes (RFC 3463, 7505) that speak of the address itself: no such mailbox (x.1.1), no such domain (x.1.2), no
 * possible address (x.1.3), moved without a new one (x.1.6), a domain that takes no mail (x.1.10). Everything else may be the sender's
 * reputation, the content, a policy or a full mailbox, and says nothing against the address.
 */
const DEAD_ADDRESS = /^5\.1\.(?:1|2|3|6|10)$/;

export const isDeadAddress = (status: string): boolean => DEAD_ADDRESS.test(status);
