import { encode } from "uqr";

/** White modules on every side, as ISO/IEC 18004 asks for: cameras find the edges by them. */
export const QUIET_ZONE = 4;

/** A QR code as an SVG path of black squares, one unit each, in a white square of `size` units; `text` up to 2,331 bytes. */
export function drawQr(text: string): { size: number; path: string } {
  const { data, size } = encode(text, { ecc: "M", border: QUIET_ZONE });
  let path = "";
  for (const [y, row] of data.entries()) {
    for (let x = 0; x < size; x++) {
      if (!row[x]) continue;
      const from = x;
      while (row[x]) x++;
      path += `M${from} ${y}h${x - from}v1h${from - x}z`;
    }
  }
  return { size, path };
}
