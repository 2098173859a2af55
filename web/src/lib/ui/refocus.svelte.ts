/**
 * Keeps the keyboard's place when a write takes away what was pressed: once `data` has changed and the focused element is gone, `to`
 * gets the focus. Returns what arms it, to be called with the write. Call it while a component is made.
 */
export function refocus(data: () => unknown, to: () => HTMLElement | null): () => void {
  let armed = false;
  $effect(() => {
    data();
    if (!armed || document.activeElement !== document.body) return;
    armed = false;
    to()?.focus();
  });
  return () => (armed = true);
}
