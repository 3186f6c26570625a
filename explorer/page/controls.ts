// Labelled sliders, choices and switches, and the values that they hold; every value is kept in the page's link.

export type Values = Record<string, string>;

interface Common {
  name: string;
  label: string;
  /** Whether the control has a use now. */
  shown?(values: Values): boolean;
}
export interface Slider extends Common {
  kind: "slider";
  low: number;
  high: number;
  step?: number;
}
export interface Choice extends Common {
  kind: "choice";
  options: { value: string; label: string; group?: string }[];
}
export interface Switch extends Common {
  kind: "switch";
}
export type Field = Slider | Choice | Switch;

let count = 0;

export class Controls {
  readonly root = document.createElement("form");
  private rows = new Map<string, { row: HTMLElement; field: Field; set(value: string): void }>();

  constructor(fields: Field[], readonly values: Values, private changed: () => void) {
    this.root.className = "controls";
    this.root.addEventListener("submit", (event) => event.preventDefault());
    for (const field of fields) this.add(field);
    this.refresh();
  }

  number(name: string): number {
    return Number(this.values[name]);
  }

  is(name: string): boolean {
    return this.values[name] === "1";
  }

  set(name: string, value: string): void {
    this.values[name] = value;
    this.rows.get(name)?.set(value);
  }

  /** Show the controls that have a use, and the values they have. */
  refresh(): void {
    for (const [name, { row, field, set }] of this.rows) {
      row.hidden = !(field.shown?.(this.values) ?? true);
      set(this.values[name] ?? "");
    }
  }

  private add(field: Field): void {
    const row = document.createElement("div"), label = document.createElement("label");
    row.className = `control ${field.kind}`;
    label.textContent = field.label;
    const { input, output } = field.kind === "choice" ? select(field) : field.kind === "slider" ? slider(field) : toggle();
    input.id = `control-${count++}`;
    input.name = field.name;
    label.htmlFor = input.id;
    row.append(...(field.kind === "switch" ? [input, label] : [label, input, ...(output ? [output] : [])]));
    input.addEventListener("input", () => {
      this.values[field.name] = input instanceof HTMLInputElement && input.type === "checkbox" ? (input.checked ? "1" : "0") : input.value;
      this.refresh();
      this.changed();
    });
    const set = (value: string) => {
      if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value === "1";
      else if (input.value !== value) input.value = value;
      if (output) output.textContent = input.value;
      // A slider keeps within its range, and a choice within its options, whatever a link said.
      if (field.kind !== "switch" && input.value !== value) {
        this.values[field.name] = input.value || (input instanceof HTMLSelectElement ? input.options[0]!.value : input.value);
        if (input instanceof HTMLSelectElement) input.value = this.values[field.name]!;
      }
    };
    this.rows.set(field.name, { row, field, set });
    this.root.append(row);
  }
}

function select(field: Choice): { input: HTMLSelectElement; output?: HTMLOutputElement } {
  const input = document.createElement("select");
  const groups = new Map<string, HTMLOptGroupElement>();
  for (const { value, label, group } of field.options) {
    const option = new Option(label, value);
    if (!group) {
      input.append(option);
      continue;
    }
    if (!groups.has(group)) {
      const made = document.createElement("optgroup");
      made.label = group;
      groups.set(group, made);
      input.append(made);
    }
    groups.get(group)!.append(option);
  }
  return { input };
}

function slider(field: Slider): { input: HTMLInputElement; output: HTMLOutputElement } {
  const input = document.createElement("input"), output = document.createElement("output");
  input.type = "range";
  input.min = String(field.low);
  input.max = String(field.high);
  input.step = String(field.step ?? 1);
  return { input, output };
}

function toggle(): { input: HTMLInputElement; output?: HTMLOutputElement } {
  const input = document.createElement("input");
  input.type = "checkbox";
  return { input };
}
