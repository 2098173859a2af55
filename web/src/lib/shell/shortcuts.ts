import { goto } from "$app/navigation";
import { confirmation } from "../ui/confirm.svelte.ts";
import type { ConsolePage } from "../api/types.ts";
import { offered } from "./nav.ts";

export const shortcutHelp = (pages: readonly ConsolePage[]): readonly { keys: string; does: string }[] => [
  { keys: "Ctrl K", does: "Search and run actions" },
  { keys: "/", does: "Search this page" },
  { keys: "c", does: "Create something new on this page" },
  { keys: "?", does: "Show these shortcuts" },
  { keys: "Esc", does: "Close a panel or leave a field" },
  ...pages.filter(offered).map((page) => ({ keys: `g ${page.shortcut}`, does: `Go to ${page.label.toLowerCase()}` })),
];

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));

/** Window-wide keys. Single letters are ignored while typing or while a dialog is open. Returns the uninstaller. */
export function installShortcuts(
  pages: readonly ConsolePage[],
  on: { palette: () => void; help: () => void },
): () => void {
  let awaiting = 0;
  function keydown(event: KeyboardEvent) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      on.palette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (confirmation.question || document.querySelector("[role=dialog],[role=alertdialog]")) return;
    if (Date.now() - awaiting < 1200) {
      awaiting = 0;
      const page = pages.find((p) => p.shortcut === event.key);
      if (page && offered(page)) {
        event.preventDefault();
        void goto(page.path);
      }
      return;
    }
    if (event.key === "g") awaiting = Date.now();
    else if (event.key === "?") on.help();
    else if (event.key === "/") {
      const box = document.querySelector<HTMLInputElement>('[data-hotkey="/"]');
      if (!box) return;
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.key === "c") {
      const create = document.querySelector<HTMLElement>('[data-hotkey="c"]');
      if (create) {
        event.preventDefault();
        create.click();
      }
    }
  }
  addEventListener("keydown", keydown);
  return () => removeEventListener("keydown", keydown);
}
