// What the panels share: the kernels, the picture in use, and the line that a screen reader hears.
import type { Values } from "./controls";
import { Refusal, type Kernels } from "./kernels";
import { BUILT_IN, openPicture } from "./pictures";
import { mapped, planes, type Planes } from "./planes";

export interface Panel {
  id: string;
  title: string;
  /** Builds the panel from the values of a link. */
  open(root: HTMLElement, values: Values, page: Page): void;
  /** What it does with a picture that the reader brings; without it, the picture is one to choose. */
  take?(file: File): void;
}

/** The reader's own picture, which no link can carry. */
const OWN = "own";

export class Page {
  private own: { picture: Planes; name: string } | null = null;
  private made = new Map<string, Planes>();
  private status = document.getElementById("status")!;
  /** Called when the reader brings a picture. */
  pictureArrived: () => void = () => {};

  constructor(readonly kernels: Kernels, private saved: (values: Values) => void) {}

  /** Keep the values in the page's link. */
  save(values: Values): void {
    this.saved(values);
  }

  /** Tell a screen reader, and show at the bottom of the page. */
  say(text: string): void {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  get pictureOptions(): { value: string; label: string }[] {
    const options = Object.entries(BUILT_IN).map(([value, { label }]) => ({ value, label }));
    return [...options, { value: OWN, label: this.own ? `yours: ${this.own.name}` : "yours (drop a file here)" }];
  }

  picture(name: string): Planes {
    if (name === OWN && this.own) return this.own.picture;
    const key = name in BUILT_IN ? name : "circle";
    if (!this.made.has(key)) this.made.set(key, BUILT_IN[key]!.make());
    return this.made.get(key)!;
  }

  /** What the reader drew. */
  drawn(picture: Planes): void {
    this.own = { picture, name: "a drawing" };
  }

  async open(file: File, side: number): Promise<void> {
    try {
      this.own = { picture: await openPicture(file, file.name, side), name: file.name };
      this.say(`${file.name} is opened: ${this.own.picture.rows} rows, ${this.own.picture.columns} columns.`);
      this.pictureArrived();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.say(error.message);
    }
  }
}

const greys = new WeakMap<Planes, Planes>();

/** Brightness alone, as the field weighs it. */
export function grey(x: Planes): Planes {
  if (x.channels !== 3) return x;
  let found = greys.get(x);
  if (!found) greys.set(x, (found = brightness(x)));
  return found;
}

function brightness(x: Planes): Planes {
  const plane = x.rows * x.columns, out = planes(1, x.rows, x.columns);
  for (let i = 0; i < plane; i++) {
    out.data[i] = Math.round(0.299 * x.data[i]! + 0.587 * x.data[plane + i]! + 0.114 * x.data[2 * plane + i]!);
  }
  return out;
}

export function difference(a: Planes, b: Planes): Planes {
  let i = 0;
  return mapped(a, (value) => value - b.data[i++]!);
}

export function make<K extends keyof HTMLElementTagNameMap>(name: K, className = "", ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function button(text: string, action: () => void, className = ""): HTMLButtonElement {
  const made = make("button", className, text);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}
