import { cellName, parseCell, rangeName } from "./a1";
import { el } from "./dom";
import { insertText, isLineBreak, stepOf } from "./field-keys";
import type { Selection } from "./grid";

/** The name of the selected cell, and what is in it. */
export class FormulaBar {
  private readonly name = el("input", { className: "name", ariaLabel: "Cell", spellcheck: false, autocomplete: "off" });
  private readonly field = el("textarea", { className: "formula", ariaLabel: "Formula", spellcheck: false, rows: 1 });
  readonly element = el(
    "div",
    { className: "formula-bar" },
    this.name,
    el("span", { className: "fx", ariaHidden: "true" }, "fx"),
    this.field,
  );
  private selection: Selection | undefined;
  private typed = "";

  constructor(
    private readonly go: (row: number, column: number) => void,
    private readonly save: (selection: Selection, text: string) => void,
    /** So many rows and columns on from the selected cell. */
    private readonly leave: (rows: number, columns: number) => void,
  ) {
    this.field.addEventListener("keydown", (event) => this.fieldKey(event));
    this.field.addEventListener("blur", () => this.commit());
    this.name.addEventListener("keydown", (event) => this.nameKey(event));
    this.name.addEventListener("focus", () => this.name.select());
  }

  show(selection: Selection, typed: string): void {
    // A person who types here is not disturbed by what arrives meanwhile.
    if (document.activeElement === this.field) return;
    this.selection = selection;
    this.typed = typed;
    this.field.value = typed;
    if (document.activeElement !== this.name) this.name.value = rangeName(selection.rect);
  }

  clear(): void {
    this.selection = undefined;
    this.typed = this.field.value = this.name.value = "";
  }

  /** What is being typed in the cell itself. */
  follow(text: string): void {
    this.field.value = text;
  }

  private commit(): void {
    if (!this.selection || this.field.value === this.typed) return;
    this.typed = this.field.value;
    this.save(this.selection, this.field.value);
  }

  private fieldKey(event: KeyboardEvent): void {
    if (event.isComposing) return;
    const step = event.key === "Escape" ? ([0, 0] as [number, number]) : stepOf(event, false);
    if (isLineBreak(event)) insertText(this.field, "\n");
    else if (!step) return;
    event.preventDefault();
    if (!step) return;
    if (event.key === "Escape") this.field.value = this.typed;
    this.field.blur();
    this.leave(...step);
  }

  private nameKey(event: KeyboardEvent): void {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    const cell = event.key === "Enter" ? parseCell(this.name.value) : undefined;
    this.name.blur();
    if (cell) this.go(cell.row, cell.column);
    else if (this.selection) {
      this.name.value = cellName(this.selection.row, this.selection.column);
      this.leave(0, 0);
    }
  }
}
