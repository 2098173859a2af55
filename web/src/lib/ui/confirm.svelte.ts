type Question = { title: string; detail?: string; action: string; danger?: boolean };

/** Asks before something that cannot be undone: `if (await confirmation.ask({...})) …` */
class Confirmation {
  question = $state.raw<Question | null>(null);
  #answer: ((yes: boolean) => void) | null = null;

  ask(question: Question): Promise<boolean> {
    this.#answer?.(false);
    this.question = question;
    return new Promise((resolve) => (this.#answer = resolve));
  }
  answer(yes: boolean): void {
    this.question = null;
    this.#answer?.(yes);
    this.#answer = null;
  }
}
export const confirmation = new Confirmation();
