/** Short forms of units of measure, with their unit and factor. */
export const SHORT: Record<string, [string, number]> = {
  w: ["watt", 1], kw: ["watt", 1e3], mw: ["watt", 1e6], gw: ["watt", 1e9],
  kwh: ["watthour", 1e3], mwh: ["watthour", 1e6], gwh: ["watthour", 1e9], twh: ["watthour", 1e12],
  g: ["gram", 1], kg: ["gram", 1e3], mg: ["gram", 1e-3], t: ["ton", 1],
  mm: ["metre", 1e-3], cm: ["metre", 1e-2], km: ["metre", 1e3],
  ml: ["litre", 1e-3], cl: ["litre", 1e-2], hl: ["litre", 1e2], l: ["litre", 1],
  kb: ["byte", 1e3], mb: ["byte", 1e6], gb: ["byte", 1e9], tb: ["byte", 1e12], pb: ["byte", 1e15],
  mbit: ["bit", 1e6], gbit: ["bit", 1e9], kbit: ["bit", 1e3], mbps: ["bit", 1e6], gbps: ["bit", 1e9],
  ha: ["hectare", 1], ms: ["second", 1e-3],
}; // prettier-ignore

/** Whether a word is the short form of a unit. */
export const isUnit = (word: string): boolean => word.length > 1 && Object.hasOwn(SHORT, word);
