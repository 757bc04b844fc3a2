import { TextEditor, type ColumnDataSchemaModel, type EditCell } from "@revolist/revogrid";

const EDITOR = "revogr-edit input";
/** An editor that has not been drawn after as many frames will not come. */
const FRAMES = 120;

/** The field in a cell. One may serve cell after cell. */
export class CellEditor extends TextEditor {
  /** The cell whose text stands in the field. */
  private at: string | undefined;

  constructor(
    column: ColumnDataSchemaModel,
    private readonly save: (value: unknown, stay: boolean) => void,
    private readonly close: (next: boolean) => void,
    private readonly opened: (cell: string) => void,
    private readonly left: (rows: number, columns: number) => void,
  ) {
    super(column, save);
  }

  /** Drawn again because of somebody else's change: what was typed meanwhile stays. */
  override render(...given: Parameters<TextEditor["render"]>): ReturnType<TextEditor["render"]> {
    if (this.editInput && this.editCell && this.place() === this.at) {
      this.editCell = { ...this.editCell, val: this.editInput.value } as EditCell;
    }
    return super.render(...given);
  }

  override async componentDidRender(): Promise<void> {
    const cell = this.place();
    if (cell !== this.at && this.editInput) this.editInput.value = this.editCell?.val ?? "";
    this.at = cell;
    await super.componentDidRender();
    if (cell !== undefined && cell === this.at) this.opened(cell);
  }

  override onKeyDown(event: KeyboardEvent): void {
    if (event.key === "Escape") this.at = undefined;
    if (event.isComposing || (event.key !== "Enter" && event.key !== "Tab")) return;
    // The library would move on by itself, some time later.
    event.preventDefault();
    event.stopPropagation();
    const value = this.getValue();
    this.at = undefined;
    this.beforeDisconnect();
    this.save(value, true);
    this.close(false);
    if (event.key === "Enter") this.left(1, 0);
    else this.left(0, event.shiftKey ? -1 : 1);
  }

  private place(): string | undefined {
    return this.editCell && cellPlace(this.editCell.type, this.editCell.x, this.editCell.y);
  }
}

/** Names a cell as the library counts. */
export function cellPlace(rows: string, x: number, y: number): string {
  return `${rows} ${x} ${y}`;
}


/**
 * Keys pressed while an editor opens, or while it has closed and the focus moves on, wait here until that is done: the library
 * would lose them or give them to the cell before.
 */
export class Typing {
  private readonly held: KeyboardEvent[] = [];
  private readonly stop = new AbortController();
  /** How many things keys wait for. */
  private under = 0;
  private wanted: string | undefined;

  constructor(private readonly grid: HTMLElement) {
    document.addEventListener("keydown", (event) => this.hear(event), { capture: true, signal: this.stop.signal });
  }

  end(): void {
    this.stop.abort();
  }

  /** An editor is about to be drawn in this cell. */
  opening(cell: string): void {
    this.wanted = cell;
    void this.until(this.drawn());
  }

  opened(cell: string): void {
    if (cell === this.wanted) this.wanted = undefined;
  }

  /** Keys wait until this is done. */
  async until(done: Promise<unknown>): Promise<void> {
    this.under++;
    try {
      await done;
    } finally {
      this.under--;
    }
    while (this.under === 0) {
      const key = this.held.shift();
      if (!key) return;
      this.play(key);
    }
  }

  private hear(event: KeyboardEvent): void {
    if (!event.isTrusted || this.under === 0 || event.isComposing) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.held.push(event);
  }

  private async drawn(): Promise<void> {
    for (let frames = 0; frames < FRAMES && this.wanted !== undefined; frames++) await new Promise(requestAnimationFrame);
    this.wanted = undefined;
  }

  private field(): HTMLInputElement | null {
    return this.grid.querySelector<HTMLInputElement>(EDITOR);
  }

  private play(event: KeyboardEvent): void {
    const field = this.field();
    const { key, code, shiftKey, ctrlKey, altKey, metaKey } = event;
    const taken = new KeyboardEvent("keydown", { key, code, shiftKey, ctrlKey, altKey, metaKey, bubbles: true, cancelable: true });
    if (!(field ?? document.body).dispatchEvent(taken) || !field || ctrlKey || altKey || metaKey) return;
    const from = field.selectionStart ?? field.value.length;
    const to = field.selectionEnd ?? from;
    if (key.length === 1) field.setRangeText(key, from, to, "end");
    else if (key === "Backspace") field.setRangeText("", from === to ? Math.max(0, from - 1) : from, to, "end");
    else return;
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }
}
