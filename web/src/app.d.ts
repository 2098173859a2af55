declare global {
  namespace App {
    interface PageState {
      /** Set while a panel is open over a list, so that Back closes it. */
      panel?: string;
    }
  }
}

export {};
