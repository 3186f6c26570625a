// The same call in three forms, to copy.
import { codeOfSteps, FORMS, type Form, type Step } from "./code";
import { button, make } from "./panel";

export class CodeView {
  readonly root = make("section", "code");
  private text = make("code");
  private choices = new Map<Form, HTMLButtonElement>();
  private form: Form = "downup";
  private steps: Step[] = [];

  constructor(title = "as Python") {
    const bar = make("div", "bar", make("h3", "", title));
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", `${title}, in one of three forms`);
    for (const form of FORMS) {
      const choice = button(form, () => this.choose(form), "small");
      this.choices.set(form, choice);
      bar.append(choice);
    }
    const copy = button("copy", () => void this.copy(copy), "small copy");
    bar.append(copy);
    const block = make("pre", "", this.text);
    block.tabIndex = 0;
    this.root.append(bar, block);
    this.choose("downup");
  }

  show(...steps: Step[]): void {
    this.steps = steps;
    this.text.textContent = codeOfSteps(this.form, steps);
  }

  private choose(form: Form): void {
    this.form = form;
    for (const [name, choice] of this.choices) choice.setAttribute("aria-pressed", String(name === form));
    if (this.steps.length) this.show(...this.steps);
  }

  private async copy(copy: HTMLButtonElement): Promise<void> {
    await navigator.clipboard.writeText(this.text.textContent ?? "");
    copy.textContent = "copied";
    window.setTimeout(() => (copy.textContent = "copy"), 1500);
  }
}
