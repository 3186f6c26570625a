// The page: one panel at a time, its values in the link.
import { artefacts } from "./artefacts";
import { back } from "./back";
import { bench } from "./bench";
import { argumentsOf } from "./bench_fields";
import { codeOf } from "./code";
import type { Values } from "./controls";
import { edges } from "./edges";
import { Kernels, Refusal } from "./kernels";
import { findNetwork, network } from "./network";
import { run } from "./operators";
import { make, Page, type Panel } from "./panel";
import { openPicture } from "./pictures";
import { sourcesOf, targetsOf } from "./stages";
import { windows } from "./windows";

const PANELS: Panel[] = [bench, back, artefacts, windows, edges];

// A moved slider changes the link with every frame, but browsers write no more than some hundred addresses in half a minute.
const LINK_MS = 350;

/** #bench?operator=max_pool2d&stride=2 */
function readLink(): { id: string; values: Values } {
  const [id = "", query = ""] = location.hash.slice(1).split("?");
  return { id, values: Object.fromEntries(new URLSearchParams(query)) };
}

class Explorer {
  readonly page: Page;
  private open: Panel = PANELS[0]!;
  private known = new Map<string, Values>();
  private link = "";
  /** The address as this page last read or wrote it: another one is the reader's, and is never written over. */
  private seen = "";
  private waiting = 0;
  private tabs = document.getElementById("tabs")!;
  private root = document.getElementById("panel")!;

  constructor(kernels: Kernels) {
    this.page = new Page(kernels, (values) => this.save(values));
    this.page.pictureArrived = () => this.show(this.open, { ...this.known.get(this.open.id), picture: "own" });
    for (const panel of PANELS) this.tabs.append(this.tab(panel));
    this.tabs.addEventListener("keydown", (event) => this.moved(event));
    window.addEventListener("hashchange", () => location.hash !== this.seen && this.follow());
    window.addEventListener("pagehide", () => this.writeLink());
    // The link to the panel is for keys alone: the address is the panels'.
    document.querySelector(".skip")!.addEventListener("click", (event) => {
      event.preventDefault();
      this.root.focus();
    });
    this.listenForFiles();
    this.follow();
  }

  private tab(panel: Panel): HTMLElement {
    const tab = make("button", "tab", panel.title);
    tab.type = "button";
    tab.id = `tab-${panel.id}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "panel");
    tab.addEventListener("click", () => this.show(panel, this.known.get(panel.id) ?? {}));
    return tab;
  }

  private moved(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = PANELS[(PANELS.indexOf(this.open) + step + PANELS.length) % PANELS.length]!;
    this.show(next, this.known.get(next.id) ?? {});
    document.getElementById(`tab-${next.id}`)!.focus();
  }

  private follow(): void {
    this.seen = location.hash;
    const { id, values } = readLink();
    this.show(PANELS.find((panel) => panel.id === id) ?? PANELS[0]!, values);
  }

  private show(panel: Panel, values: Values): void {
    this.open = panel;
    for (const { id } of PANELS) {
      const tab = document.getElementById(`tab-${id}`)!, isOpen = id === panel.id;
      tab.setAttribute("aria-selected", String(isOpen));
      tab.tabIndex = isOpen ? 0 : -1;
      if (isOpen) tab.scrollIntoView({ block: "nearest", inline: "center" });
    }
    this.root.setAttribute("aria-labelledby", `tab-${panel.id}`);
    this.root.replaceChildren();
    this.page.say("");
    panel.open(this.root, { ...values }, this.page);
  }

  private save(values: Values): void {
    this.known.set(this.open.id, values);
    this.link = `#${this.open.id}?${new URLSearchParams(values)}`;
    this.waiting ||= window.setTimeout(() => this.writeLink(), LINK_MS);
  }

  private writeLink(): void {
    window.clearTimeout(this.waiting);
    this.waiting = 0;
    if (location.hash !== this.seen) return;
    history.replaceState(null, "", this.link);
    this.seen = location.hash;
  }

  private listenForFiles(): void {
    const chooser = document.getElementById("file") as HTMLInputElement;
    const side = () => Number(this.known.get("bench")?.["side"] ?? 256);
    const take = (file: File | null | undefined) => file && (this.open.take ? this.open.take(file) : void this.page.open(file, side()));
    chooser.addEventListener("change", () => {
      take(chooser.files?.[0]);
      chooser.value = "";
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      take(event.dataTransfer?.files[0]);
    });
  }
}

async function start(): Promise<void> {
  const status = document.getElementById("status")!;
  try {
    const answer = await fetch("kernels.bin");
    if (!answer.ok || !answer.body) throw new Error(`kernels.bin: ${answer.status}`);
    const kernels = await Kernels.load(answer.body);
    if (await findNetwork()) PANELS.push(network);
    const explorer = new Explorer(kernels);
    // For tests and for the curious: the operators by their Python names.
    Object.assign(window, { downup: { kernels, run, sourcesOf, targetsOf, codeOf, argumentsOf, openPicture, picture: (name: string) => explorer.page.picture(name), Refusal } });
    document.documentElement.dataset["ready"] = "1";
  } catch (error) {
    status.textContent = `The page could not start: ${error instanceof Error ? error.message : String(error)}. It needs a browser of 2023 or later.`;
  }
}

void start();
