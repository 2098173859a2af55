export type ThemeChoice = "light" | "dark" | "system";

/** The colour scheme; `theme.js` applies the stored choice before the first paint, this keeps it in step after. */
class Theme {
  choice = $state<ThemeChoice>("system");
  constructor() {
    if (typeof window === "undefined") return;
    this.choice = (localStorage.getItem("console-theme") as ThemeChoice | null) ?? "system";
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#apply());
  }
  set(choice: ThemeChoice): void {
    this.choice = choice;
    localStorage.setItem("console-theme", choice);
    this.#apply();
  }
  #apply(): void {
    const dark =
      this.choice === "dark" || (this.choice === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  }
}
export const theme = new Theme();
