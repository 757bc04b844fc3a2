import { typeKey } from "./field-keys";

const EDITOR = "revogr-edit textarea";
/** An editor that has not come or gone after as many frames will not do so. */
const FRAMES = 120;

/**
 * Hears the keys of the grid. Those pressed while an editor opens, or while it has closed and the focus moves on, wait here
 * until that is done: the library would lose them or give them to the cell before.
 */
export class Typing {
  private readonly held: (() => void)[] = [];
  private readonly stop = new AbortController();
  /** How many things keys wait for. */
  private under = 0;
  private wanted: string | undefined;

  constructor(
    private readonly grid: HTMLElement,
    /** True where the key meant something. */
    private readonly key: (event: KeyboardEvent) => boolean,
  ) {
    document.addEventListener("keydown", (event) => this.hear(event), { capture: true, signal: this.stop.signal });
  }

  end(): void {
    this.stop.abort();
  }

  /** Whether what is pressed or pasted there is meant for the grid: not in a dialog, a menu, or a field of the page. */
  owns(target: EventTarget | null): boolean {
    const here = target === document.body || this.grid.contains(target as Node | null);
    return here && !document.querySelector("dialog[open], .menu");
  }

  field(): HTMLTextAreaElement | null {
    return this.grid.querySelector<HTMLTextAreaElement>(EDITOR);
  }

  /** An editor is about to be drawn in this cell. */
  opening(cell: string): void {
    this.wanted = cell;
    void this.until(this.drawn());
  }

  opened(cell: string): void {
    if (cell === this.wanted) this.wanted = undefined;
  }

  /** The editor that stands in the grid is about to go. */
  closing(): void {
    if (this.field()) void this.until(this.gone());
  }

  /** Keys wait until this is done. */
  async until(done: Promise<unknown>): Promise<void> {
    this.under++;
    try {
      await done;
    } finally {
      this.under--;
      this.drain();
    }
  }

  private drain(): void {
    while (!this.busy) {
      const act = this.held.shift();
      if (!act) return;
      act();
    }
  }

  get busy(): boolean {
    return this.under > 0;
  }

  /** After what was pressed before. */
  then(act: () => void): void {
    if (this.busy) this.held.push(act);
    else act();
  }

  private hear(event: KeyboardEvent): void {
    if (!this.owns(event.target)) return;
    if (event.isTrusted && this.busy && !event.isComposing && !isClipboard(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      // A key that is held down shall not go on after it was let go.
      if (!event.repeat || this.held.length === 0) this.held.push(() => this.play(event));
    } else if (!this.field() && this.key(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  private async drawn(): Promise<void> {
    await frames(() => this.wanted === undefined);
    this.wanted = undefined;
  }

  private async gone(): Promise<void> {
    const field = this.field();
    await frames(() => this.field() !== field);
  }

  private play(event: KeyboardEvent): void {
    const field = this.field();
    const { key, code, shiftKey, ctrlKey, altKey, metaKey } = event;
    const taken = new KeyboardEvent("keydown", { key, code, shiftKey, ctrlKey, altKey, metaKey, bubbles: true, cancelable: true });
    if ((field ?? document.body).dispatchEvent(taken) && field) typeKey(field, event);
  }
}

async function frames(done: () => boolean): Promise<void> {
  for (let count = 0; count < FRAMES && !done(); count++) await new Promise(requestAnimationFrame);
}

/** The browser makes events of their own of these keys. */
function isClipboard(event: KeyboardEvent): boolean {
  return (event.ctrlKey || event.metaKey) && !event.altKey && ["c", "v", "x"].includes(event.key.toLowerCase());
}
