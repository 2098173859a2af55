import { generateKeyPairSync, sign } from "node:crypto";

/** DER (X.690): a tag, the length of the content, the content. */
function der(tag: number, ...content: (Buffer | number)[]): Buffer {
  const body = Buffer.concat(content.map((c) => (typeof c === "number" ? Buffer.from([c]) : c)));
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const sequence = (...content: Buffer[]) => der(0x30, ...content);
const ECDSA_SHA256 = sequence(der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
const SUBJECT_ALT_NAME = der(0x06, Buffer.from("551d11", "hex"));
const COMMON_NAME = der(0x06, Buffer.from("550403", "hex"));

/** A certificate of its own for 127.0.0.1, good for every date a test may have, and its key; both PEM. */
export function certificate(): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from("test")))));
  const validity = sequence(der(0x18, Buffer.from("20200101000000Z")), der(0x18, Buffer.from("20990101000000Z")));
  const names = sequence(der(0x87, 127, 0, 0, 1));
  const extensions = der(0xa3, sequence(sequence(SUBJECT_ALT_NAME, der(0x04, names))));
  const body = sequence(
    der(0xa0, der(0x02, 2)), // version 3
    der(0x02, 1),
    ECDSA_SHA256,
    name,
    validity,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    extensions,
  );
  const whole = sequence(body, ECDSA_SHA256, der(0x03, 0, sign("sha256", body, privateKey)));
  const lines = whole.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}
