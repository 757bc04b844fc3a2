import type { ColumnDataSchemaModel, EditCell, EditorBase, HyperFunc, VNode } from "@revolist/revogrid";
import { insertText, isLineBreak, stepOf } from "./field-keys";

/** What the editor tells the grid. */
export interface Editing {
  /** Whether a letter opened the editor: arrow keys then leave it, as they do in Google Sheets. */
  entering(): boolean;
  opened(cell: string): void;
  /** The text is saved or given up; the focus goes so many rows and columns on. */
  left(rows: number, columns: number): void;
}

/** The field in a cell. One may serve cell after cell. */
export class CellEditor implements EditorBase {
  element: Element | null = null;
  editCell: EditCell;
  private field: HTMLTextAreaElement | null = null;
  /** The cell whose text stands in the field. */
  private at: string | undefined;
  /** The text that editing began with; nothing where a letter replaced it. */
  private before: string | undefined;
  private entering = false;

  constructor(
    _column: ColumnDataSchemaModel,
    private readonly save: (value: unknown, stay: boolean) => void,
    private readonly close: (next: boolean) => void,
    private readonly editing: Editing,
  ) {
    // The library sets it before it draws.
    this.editCell = undefined as unknown as EditCell;
  }

  /** Drawn again because of somebody else's change: what was typed meanwhile stays. */
  render(h: HyperFunc<VNode>): VNode {
    const typed = this.field && this.place() === this.at ? this.field.value : this.text();
    return h("textarea", {
      value: typed,
      rows: typed.split("\n").length,
      spellcheck: false,
      ref: (field?: HTMLElement) => (this.field = (field as HTMLTextAreaElement | undefined) ?? null),
      onInput: () => this.grow(),
      onKeyDown: (event: KeyboardEvent) => this.key(event),
    });
  }

  async componentDidRender(): Promise<void> {
    const cell = this.place();
    if (cell !== this.at && this.field) {
      this.entering = this.editing.entering();
      this.before = this.entering ? undefined : this.text();
      this.field.value = this.text();
      this.field.setSelectionRange(this.field.value.length, this.field.value.length);
      this.grow();
    }
    this.at = cell;
    await new Promise((drawn) => setTimeout(drawn));
    this.field?.focus();
    if (cell !== undefined && cell === this.at) this.editing.opened(cell);
  }

  getValue(): string {
    return this.field?.value ?? "";
  }

  /** A press elsewhere saves as well, unless nothing was typed: others may have changed the cell since. */
  beforeAutoSave(value?: string): boolean {
    return value !== this.before;
  }

  beforeDisconnect(): void {
    this.field?.blur();
  }

  private text(): string {
    return String(this.editCell?.val ?? "");
  }

  private grow(): void {
    if (this.field) this.field.rows = this.field.value.split("\n").length;
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing || !this.field) return;
    const step = stepOf(event, this.entering && !this.field.value.startsWith("="));
    if (event.key === "F2") this.entering = !this.entering;
    else if (isLineBreak(event)) insertText(this.field, "\n");
    else if (event.key === "Escape") this.leave(false, 0, 0);
    else if (step) this.leave(true, ...step);
    else return;
    // The library would move on by itself, some time later.
    event.preventDefault();
    event.stopPropagation();
  }

  private leave(save: boolean, rows: number, columns: number): void {
    const value = this.getValue();
    this.at = undefined;
    this.beforeDisconnect();
    if (save && this.beforeAutoSave(value)) this.save(value, true);
    this.close(false);
    this.editing.left(rows, columns);
  }

  private place(): string | undefined {
    return this.editCell && cellPlace(this.editCell.type, this.editCell.x, this.editCell.y);
  }
}

/** Names a cell as the library counts. */
export function cellPlace(rows: string, x: number, y: number): string {
  return `${rows} ${x} ${y}`;
}
