// The same call in three forms, to copy.
import { codeOf, FORMS, type Form } from "./code";
import type { Arguments } from "./operators";
import { button, make } from "./panel";
import type { Planes } from "./planes";

export class CodeView {
  readonly root = make("section", "code");
  private text = make("code");
  private choices = new Map<Form, HTMLButtonElement>();
  private form: Form = "downup";
  private call: { name: string; args: Arguments; x: Planes } | null = null;

  constructor() {
    const bar = make("div", "bar", make("h3", "", "as Python"));
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Python form");
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

  show(name: string, args: Arguments, x: Planes): void {
    this.call = { name, args, x };
    this.text.textContent = codeOf(this.form, name, args, x);
  }

  private choose(form: Form): void {
    this.form = form;
    for (const [name, choice] of this.choices) choice.setAttribute("aria-pressed", String(name === form));
    if (this.call) this.show(this.call.name, this.call.args, this.call.x);
  }

  private async copy(copy: HTMLButtonElement): Promise<void> {
    await navigator.clipboard.writeText(this.text.textContent ?? "");
    copy.textContent = "copied";
    window.setTimeout(() => (copy.textContent = "copy"), 1500);
  }
}
