import type { Rect } from "./a1";
import type { Rows } from "./rows";
import { insertText } from "./field-keys";
import { parseTable, parseTsv, toTsv } from "./tsv";
import type { Typing } from "./typing";

export interface Sheet {
  rows: Rows;
  typing: Typing;
  selected(): Rect;
  write(rect: Rect, values: (string | null)[][]): void;
  /** What was to be copied must be read first. */
  reading(): void;
}

/** Copies, cuts and pastes the selected cells of the grid. */
export class Clipboard {
  private readonly stop = new AbortController();
  /** What was copied here last, with all digits of its numbers. */
  private copied: { text: string; typed: string[][] } | undefined;

  constructor(private readonly sheet: Sheet) {
    const { signal } = this.stop;
    for (const kind of ["copy", "cut"] as const) document.addEventListener(kind, (event) => this.take(event), { signal });
    document.addEventListener("paste", (event) => this.paste(event), { signal });
  }

  end(): void {
    this.stop.abort();
  }

  private take(event: ClipboardEvent): void {
    const { rows, typing } = this.sheet;
    if (!typing.owns(document.activeElement) || typing.field()) return;
    event.preventDefault();
    // The focus is still on its way to the cell that is meant.
    if (typing.busy) return typing.then(() => void document.execCommand(event.type));
    const rect = this.sheet.selected();
    const within = { ...rect, r1: Math.max(rect.r0 + 1, Math.min(rect.r1, rows.usedRows)) };
    if (!rows.known(within.r0, within.r1)) {
      this.sheet.reading();
      void rows.load(within.r0, within.r1);
      return;
    }
    const cells = rows.cells(within);
    const text = toTsv(cells.map((line) => line.map((cell) => cell.shown)));
    event.clipboardData?.setData("text/plain", text);
    // A formula would mean other cells elsewhere: what it shows is copied.
    const typed = cells.map((line) => line.map((cell) => (cell.typed.startsWith("=") ? cell.shown : cell.typed)));
    this.copied = { text, typed };
    if (event.type === "cut") this.sheet.write(within, cells.map((line) => line.map(() => "")));
  }

  private paste(event: ClipboardEvent): void {
    const { typing } = this.sheet;
    // Where nothing has the focus, the event goes to whatever stands where a text was selected last.
    const { activeElement } = document;
    if (!typing.owns(activeElement) || activeElement === typing.field()) return;
    event.preventDefault();
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const html = event.clipboardData?.getData("text/html") ?? "";
    if (text === "" && html === "") return;
    typing.then(() => {
      const field = typing.field();
      if (field) insertText(field, text);
      else this.put(text === this.copied?.text ? this.copied.typed : (parseTable(html) ?? parseTsv(text)));
    });
  }

  /** From the selected cell on; a selection that holds the cells several times is filled with them. */
  private put(cells: string[][]): void {
    const [height, width] = [cells.length, Math.max(...cells.map((line) => line.length))];
    if (width === 0) return;
    const { r0, r1, c0, c1 } = this.sheet.selected();
    const times = (selected: number, size: number): number => (selected % size === 0 ? selected : size);
    const rect = { r0, r1: r0 + times(r1 - r0, height), c0, c1: c0 + times(c1 - c0, width) };
    const line = (row: number): (string | null)[] =>
      Array.from({ length: rect.c1 - c0 }, (_, column) => cells[row % height]?.[column % width] ?? null);
    this.sheet.write(rect, Array.from({ length: rect.r1 - r0 }, (_, row) => line(row)));
  }
}
