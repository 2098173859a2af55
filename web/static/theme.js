// Runs before the first paint so that a dark screen never flashes white; a file, because the CSP forbids inline code.
(function () {
  var choice = "system";
  try {
    choice = localStorage.getItem("console-theme") || "system";
  } catch {
    /* storage may be blocked: follow the system */
  }
  var dark = choice === "dark" || (choice === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
