import { el, icon } from "./dom";
import type { Place } from "./moving";

export interface Searched {
  /** The cells that show a text, row by row. */
  search(text: string): Promise<Place[]>;
  focused(): Place;
  go(cell: Place): Promise<void>;
  /** Every cell that was found is marked. */
  mark(cells: Place[]): void;
  leave(): void;
}

/** Ctrl+F: looks for a text in all cells of the tab. */
export class FindBar {
  private readonly field = el("input", { type: "text", ariaLabel: "Find in this tab", spellcheck: false, autocomplete: "off" });
  private readonly count = el("span", { className: "count", role: "status" });
  readonly element = el(
    "div",
    { className: "find", role: "search", hidden: true },
    this.field,
    this.count,
    this.button("up", "Previous", () => this.step(-1)),
    this.button("down", "Next", () => this.step(1)),
    this.button("close", "Close", () => this.close()),
  );
  private found: Place[] = [];
  /** What `found` was found for; nothing where the cells have changed since. */
  private looked: string | undefined;
  /** Keys pressed while the search goes on come after it. */
  private last = Promise.resolve();

  constructor(private readonly searched: Searched) {
    this.field.addEventListener("input", () => this.step(0));
    this.field.addEventListener("keydown", (event) => this.key(event));
  }

  open(): void {
    this.element.hidden = false;
    this.field.select();
    this.field.focus();
    if (this.field.value !== "") this.step(0);
  }

  close(): void {
    this.element.hidden = true;
    this.changed();
    this.searched.mark([]);
    this.searched.leave();
  }

  /** The cells have changed. */
  changed(): void {
    this.looked = undefined;
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
    else if (event.key.toLowerCase() === "f" && (event.ctrlKey || event.metaKey)) this.field.select();
    else return;
    event.preventDefault();
  }

  /** To the next cell, the one before, or the first from where the focus is. */
  private step(by: -1 | 0 | 1): void {
    this.last = this.last.then(() => this.find(by));
  }

  private async find(by: -1 | 0 | 1): Promise<void> {
    const text = this.field.value;
    if (this.looked !== text) {
      this.looked = text;
      this.found = text === "" ? [] : await this.searched.search(text);
      if (this.element.hidden) return;
      this.searched.mark(this.found);
    }
    const from = this.searched.focused();
    const after = (cell: Place): boolean => cell.row > from.row || (cell.row === from.row && cell.column > from.column);
    const here = this.found.findIndex((cell) => cell.row === from.row && cell.column === from.column);
    const next = here >= 0 && by === 0 ? here : this.found.findIndex(after);
    const count = this.found.length;
    const at = by < 0 ? (here >= 0 ? here : next < 0 ? count : next) - 1 : next;
    const cell = this.found.at(at < count && at >= 0 ? at : by < 0 ? -1 : 0);
    this.count.textContent = text === "" ? "" : cell ? `${this.found.indexOf(cell) + 1} of ${count}` : "Nothing found";
    if (cell) await this.searched.go(cell);
  }

  private button(name: "up" | "down" | "close", title: string, act: () => void): HTMLButtonElement {
    const button = el("button", { type: "button", title, ariaLabel: title }, icon(name));
    // The field keeps the focus.
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", act);
    return button;
  }
}
