/** "2 days", "36 hours": how a wait reads in a sequence. */
export function waitText(hours: number): string {
  if (hours === 0) return "at once";
  if (hours < 1) return `${Math.max(1, Math.round(hours * 60))} min later`;
  if (hours % 24 === 0) return `${hours / 24} ${hours === 24 ? "day" : "days"} later`;
  return `${hours} ${hours === 1 ? "hour" : "hours"} later`;
}

type Unit = "minutes" | "hours" | "days";

/** A wait in the unit a person would say it in; fractions of an hour are minutes. */
export function waitOf(hours: number): { wait: number; unit: Unit } {
  if (hours > 0 && hours % 24 === 0) return { wait: hours / 24, unit: "days" };
  if (Number.isInteger(hours)) return { wait: hours, unit: "hours" };
  // Stored in hundredths of an hour: 20 minutes come back as 19.8.
  return { wait: Math.max(1, Math.round(hours * 60)), unit: "minutes" };
}

export const hoursOf = (wait: number, unit: Unit): number =>
  unit === "days" ? wait * 24 : unit === "hours" ? wait : wait / 60;

export const weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;
