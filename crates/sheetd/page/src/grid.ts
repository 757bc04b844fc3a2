import { defineCustomElements, type Components } from "@revolist/revogrid/loader";
import type { CellProps, CellTemplateProp, ColumnRegular, DimensionRows } from "@revolist/revogrid";
import { letters, type Rect } from "./a1";
import { CellEditor, cellPlace } from "./cell-editor";
import { Clipboard } from "./clipboard";
import { ARROWS, stepOf } from "./field-keys";
import { edge, type Place } from "./moving";
import { dragRow } from "./row-drag";
import { EMPTY, type Cell, type Rows } from "./rows";
import { Typing } from "./typing";

type Element = HTMLElement & Components.RevoGrid & { componentOnReady(): Promise<unknown> };

const ROW_HEIGHT = 26;
/** There is always room to type below the last row. */
const SPARE_ROWS = 100;
const MIN_WIDTH = 84;
const MAX_WIDTH = 300;
const SAMPLE_ROWS = 200;

export interface Selection {
  row: number;
  column: number;
  rect: Rect;
}

export interface Person {
  select(selection: Selection): void;
  write(rect: Rect, values: (string | null)[][]): void;
  /** Rows were dragged to before this one. */
  move(rect: Rect, before: number): void;
  /** What was to be copied must be read first. */
  reading(): void;
  /** Typing goes on in a cell. */
  typing(text: string): void;
  menu(x: number, y: number): void;
  /** True where the key was a command. */
  key(event: KeyboardEvent): boolean;
}

/** A row as the grid library sees it: an index into the rows, whose columns are read when they are drawn. */
class Line {
  constructor(
    readonly rows: Rows,
    readonly index: number,
  ) {}
}

/** The columns that a line has; they are the same for all. */
let lineColumns = 0;
function growLines(columns: number): void {
  for (; lineColumns < columns; lineColumns++) {
    const column = lineColumns;
    Object.defineProperty(Line.prototype, String(column), {
      get(this: Line) {
        return this.rows.cell(this.index, column)?.typed ?? "";
      },
    });
  }
}

export class Grid {
  readonly element: Element;
  private readonly typing: Typing;
  private readonly clipboard: Clipboard;
  /** Whether the editor was opened by a letter. */
  private entering = false;
  /** The column in which a line typed with Tab began: Enter comes back to it. */
  private lineStart: number | undefined;
  private selection: Selection = { row: 0, column: 0, rect: { r0: 0, r1: 1, c0: 0, c1: 1 } };
  private found: ReadonlySet<string> = new Set();
  private lines = 0;
  private columns = 0;
  private span: [number, number] = [0, 0];

  constructor(
    private readonly rows: Rows,
    private readonly frozen: number,
    private readonly person: Person,
  ) {
    defineCustomElements();
    this.element = document.createElement("revo-grid") as Element;
    Object.assign(this.element, {
      rowSize: ROW_HEIGHT,
      rowHeaders: { size: 56, cellTemplate: rowNumber },
      range: true,
      resize: true,
      applyOnClose: true,
      autoSizeColumn: false,
      useClipboard: false,
      theme: "default",
    });
    this.typing = new Typing(this.element, (event) => this.key(event) || this.person.key(event));
    this.clipboard = new Clipboard({
      rows,
      typing: this.typing,
      selected: () => this.selection.rect,
      write: (rect, values) => this.person.write(rect, values),
      reading: () => this.person.reading(),
    });
    this.listen();
    this.shape();
  }

  close(): void {
    this.typing.end();
    this.clipboard.end();
  }

  /** The size of the grid, where it changed. */
  private shape(): void {
    const lines = Math.max(this.rows.rowCount, this.rows.usedRows + SPARE_ROWS);
    const columns = Math.max(this.rows.columnCount, this.rows.usedColumns, 1);
    if (columns !== this.columns) {
      growLines(columns);
      const known = this.element.columns ?? [];
      this.element.columns = Array.from({ length: columns }, (_, c) => known[c] ?? this.column(c));
      this.columns = columns;
    }
    if (lines !== this.lines) {
      const all = Array.from({ length: lines }, (_, row) => new Line(this.rows, row));
      this.element.pinnedTopSource = all.slice(0, this.frozen);
      this.element.source = all.slice(this.frozen);
      this.lines = lines;
    }
  }

  /** Wide enough for nearly all texts among the first rows. */
  private width(column: number): number {
    const texts = Array.from({ length: SAMPLE_ROWS }, (_, row) => this.rows.cell(row, column)?.shown.length ?? 0);
    const lengths = texts.filter((length) => length > 0).sort((a, b) => a - b);
    const long = lengths[Math.floor(lengths.length * 0.95)] ?? 0;
    return Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, Math.ceil(long * 7) + 20));
  }

  private column(column: number): ColumnRegular {
    return {
      prop: column,
      name: letters(column),
      filter: false,
      size: this.width(column),
      editor: (data, save, close) =>
        new CellEditor(data, save, close, {
          entering: () => this.entering,
          opened: (cell) => this.typing.opened(cell),
          left: (rows, columns) => {
            this.typing.closing();
            this.step(rows, columns);
          },
        }),
      cellTemplate: (h: CreateElement, cell: CellTemplateProp) => this.draw(h, cell),
      cellProperties: (cell: CellTemplateProp) => this.properties(cell),
    };
  }

  private draw(h: CreateElement, { model, colIndex }: CellTemplateProp): unknown {
    const { index } = model as unknown as Line;
    const cell = this.rows.cell(index, colIndex) ?? EMPTY;
    if (!cell.checkbox) return cell.shown;
    const checked = cell.shown === "TRUE";
    const fixed = cell.typed.startsWith("=");
    return h("span", {
      class: { box: true, checked, fixed },
      role: "checkbox",
      "aria-checked": String(checked),
      onClick: () => this.toggle(index, colIndex, cell),
      onDblClick: (event: Event) => event.preventDefault(),
    });
  }

  private properties({ model, colIndex }: CellTemplateProp): CellProps {
    const { index } = model as unknown as Line;
    const cell = this.rows.cell(index, colIndex);
    const flash = this.rows.flash(index, colIndex);
    return {
      class: {
        number: cell?.kind === "number",
        error: cell?.kind === "error",
        boolean: cell?.checkbox === true,
        loading: cell === undefined,
        head: index < this.frozen,
        noted: !!cell?.note,
        found: this.found.has(`${index} ${colIndex}`),
        "changed-1": flash === 1,
        "changed-2": flash === 2,
      },
      "data-note": cell?.note || undefined,
    };
  }

  private toggle(row: number, column: number, cell: Cell): void {
    if (cell.typed.startsWith("=")) return;
    const rect = { r0: row, r1: row + 1, c0: column, c1: column + 1 };
    this.person.write(rect, [[cell.shown === "TRUE" ? "FALSE" : "TRUE"]]);
  }

  /** Once it stands in the page and is drawn. */
  async ready(): Promise<void> {
    await customElements.whenDefined("revo-grid");
    await this.element.componentOnReady();
  }

  /** Draws again, with what is known now. */
  async redraw(): Promise<void> {
    this.shape();
    await this.element.refresh();
  }

  async markFound(cells: Place[]): Promise<void> {
    this.found = new Set(cells.map(({ row, column }) => `${row} ${column}`));
    await this.element.refresh();
  }

  visible(): [number, number][] {
    const [from, to] = this.span;
    const shown: [number, number][] = [[from + this.frozen, to + this.frozen]];
    if (this.frozen > 0) shown.push([0, this.frozen]);
    return shown;
  }

  /** What is typed waits until this is done. */
  async hold(done: Promise<unknown>): Promise<void> {
    await this.typing.until(done);
  }

  async focus(row: number, column: number): Promise<void> {
    await this.show({ row, column }, { row, column });
  }

  /** The focus comes back to what was selected. */
  async refocus(): Promise<void> {
    (document.activeElement as HTMLElement | null)?.blur();
    const { row, column } = this.selection;
    await this.mark({ row, column }, this.far());
  }

  /** Selects from one cell, which gets the focus, to another one, which comes into view. */
  private async show(from: Place, to: Place): Promise<void> {
    const end = this.inside(to);
    const { y, type } = this.place(end.row);
    if (type === "rgRow") await this.scrollToRow(y);
    await this.scrollToColumn(end.column);
    await this.mark(this.inside(from), end);
  }

  private async mark(from: Place, to: Place): Promise<void> {
    const { y, type } = this.place(from.row);
    const end = { x: to.column, y: to.row - this.offset(type) };
    await this.element.setCellsFocus({ x: from.column, y }, end, "rgCol", type);
    await this.readSelection();
  }

  /** The corner of the selection that is not the cell with the focus. */
  private far(): Place {
    const { row, column, rect } = this.selection;
    return {
      row: row === rect.r0 ? rect.r1 - 1 : rect.r0,
      column: column === rect.c0 ? rect.c1 - 1 : rect.c0,
    };
  }

  private inside({ row, column }: Place): Place {
    return {
      row: Math.min(Math.max(0, row), this.lines - 1),
      column: Math.min(Math.max(0, column), this.columns - 1),
    };
  }

  private async scrollToRow(y: number): Promise<void> {
    const view = this.element.querySelector(".rgCol .vertical-inner");
    if (!view) return;
    const first = Math.ceil(view.scrollTop / ROW_HEIGHT);
    const fitting = Math.floor(view.clientHeight / ROW_HEIGHT);
    if (y < first) await this.element.scrollToRow(y);
    else if (y >= first + fitting) await this.element.scrollToRow(Math.max(0, y - fitting + 2));
  }

  private async scrollToColumn(x: number): Promise<void> {
    const header = this.element.querySelector(`.rgCol revogr-header .rgHeaderCell[data-rgcol="${x}"]`);
    const [cell, view] = [header, this.element.querySelector(".rgCol")].map((e) => e?.getBoundingClientRect());
    if (cell && view && cell.left >= view.left && cell.right <= view.right) return;
    await this.element.scrollToColumnIndex(x);
  }

  /** Frozen rows and others are not selected together. */
  async select({ r0, r1, c0, c1 }: Rect): Promise<void> {
    const last = r0 < this.frozen ? Math.min(r1, this.frozen) : r1;
    await this.show({ row: r0, column: c0 }, { row: last - 1, column: c1 - 1 });
  }

  async selectRows(from: number, to: number): Promise<void> {
    const { y, type } = this.place(from);
    const last = { x: this.columns - 1, y: y + to - from - 1 };
    await this.element.setCellsFocus({ x: 0, y }, last, "rgCol", type);
    await this.readSelection();
  }

  private async selectColumn(x: number): Promise<void> {
    await this.element.setCellsFocus({ x, y: 0 }, { x, y: this.lines - this.frozen - 1 }, "rgCol", "rgRow");
    await this.readSelection();
  }

  private place(row: number): { y: number; type: DimensionRows } {
    return row < this.frozen ? { y: row, type: "rowPinStart" } : { y: row - this.frozen, type: "rgRow" };
  }

  private offset(type: DimensionRows): number {
    return type === "rgRow" ? this.frozen : 0;
  }

  private listen(): void {
    const on = <T>(name: string, act: (event: CustomEvent<T>) => void): void =>
      this.element.addEventListener(name, act as EventListener);

    on<{ model: Line; colIndex: number; val?: string }>("beforeedit", (event) => {
      event.preventDefault();
      const { model, colIndex, val } = event.detail;
      const typed = this.rows.cell(model.index, colIndex)?.typed ?? "";
      if (val === undefined || val === typed) return;
      this.person.write({ r0: model.index, r1: model.index + 1, c0: colIndex, c1: colIndex + 1 }, [[val]]);
    });
    on<{ type: DimensionRows; data: Record<number, Record<number, string>> }>("beforerangeedit", (event) => {
      event.preventDefault();
      this.writeRange(event.detail.data, this.offset(event.detail.type));
    });
    on<{ model: Line; colIndex: number; val?: string }>("beforeeditstart", (event) => {
      const { model, colIndex, val } = event.detail;
      const cell = this.rows.cell(model.index, colIndex) ?? EMPTY;
      const { y, type } = this.place(model.index);
      this.entering = (val ?? "") !== "";
      if (!cell.checkbox || (val ?? "").trim() !== "") return this.typing.opening(cellPlace(type, colIndex, y));
      event.preventDefault();
      this.toggle(model.index, colIndex, cell);
    });
    on("afterfocus", (event) => {
      // The library would take the browser's focus into the cell, out of whatever a person types in.
      const { activeElement } = document;
      if (activeElement?.matches("input, textarea")) event.preventDefault();
      void this.readSelection();
    });
    // The library tells of a new focus, not of a range that came or went around the same one.
    for (const name of ["setrange", "mouseup", "keyup"]) on(name, () => setTimeout(() => void this.readSelection()));
    on("afterrender", () => void this.readSpan());
    // What is typed elsewhere in the page is not for the grid, though the library hears all of the document.
    on<{ original: KeyboardEvent }>("beforekeydown", (event) => {
      if (!this.typing.owns(event.detail.original.target)) event.preventDefault();
    });
    on<ColumnRegular>("headerclick", (event) => void this.selectColumn(Number(event.detail.prop)));
    this.element.addEventListener("input", (event) => this.person.typing((event.target as HTMLTextAreaElement).value));
    this.element.addEventListener("mousedown", (event) => this.press(event), { capture: true });
    this.element.addEventListener("contextmenu", (event) => void this.openMenu(event));
  }

  private writeRange(data: Record<number, Record<number, string>>, offset: number): void {
    const lines = Object.keys(data).map(Number);
    const columns = [...new Set(lines.flatMap((y) => Object.keys(data[y] ?? {}).map(Number)))];
    if (columns.length === 0) return;
    const rect = {
      r0: Math.min(...lines) + offset,
      r1: Math.max(...lines) + offset + 1,
      c0: Math.min(...columns),
      c1: Math.max(...columns) + 1,
    };
    const values = Array.from({ length: rect.r1 - rect.r0 }, (_, r) =>
      Array.from({ length: rect.c1 - rect.c0 }, (_, c) => {
        const given = data[rect.r0 - offset + r]?.[rect.c0 + c];
        return given === undefined ? null : String(given);
      }),
    );
    this.person.write(rect, values);
  }

  private key(event: KeyboardEvent): boolean {
    const plain = !event.altKey && !event.ctrlKey && !event.metaKey;
    if (plain && !event.shiftKey && (event.key === "F2" || event.key === "Enter")) this.edit();
    else if (plain && (event.key === "Enter" || event.key === "Tab")) this.step(...(stepOf(event, false) ?? [0, 0]));
    else if (!event.altKey) return this.move(event);
    else return false;
    return true;
  }

  private edit(): void {
    const { row, column } = this.selection;
    const cell = this.rows.cell(row, column) ?? EMPTY;
    if (cell.checkbox) return this.toggle(row, column, cell);
    const { y, type } = this.place(row);
    this.entering = false;
    void this.element.setCellEdit(y, column, type);
    this.typing.opening(cellPlace(type, column, y));
  }

  /** Keys that move the focus; with Shift they move the other end of the selection. */
  private move(event: KeyboardEvent): boolean {
    const { row, column } = this.selection;
    const from = event.shiftKey ? this.far() : { row, column };
    const far = event.ctrlKey || event.metaKey;
    const page = Math.max(1, this.span[1] - this.span[0] - 3);
    const arrow = ARROWS[event.key];
    const lastColumn = Math.max(0, this.rows.usedColumns - 1);
    let to: Place | Promise<Place>;
    if (arrow && far) to = edge(this.rows, from, arrow, { row: this.lines - 1, column: this.columns - 1 });
    else if (arrow) to = { row: from.row + arrow[0], column: from.column + arrow[1] };
    else if (event.key === "Home") to = { row: far ? 0 : from.row, column: 0 };
    else if (event.key === "End") to = { row: far ? this.rows.usedRows - 1 : from.row, column: lastColumn };
    else if (event.key === "PageDown" && !far) to = { row: from.row + page, column: from.column };
    else if (event.key === "PageUp" && !far) to = { row: from.row - page, column: from.column };
    else return false;
    this.lineStart = undefined;
    void this.typing.until(event.shiftKey ? this.extend(to) : this.arrive(to));
    return true;
  }

  private async arrive(to: Place | Promise<Place>): Promise<void> {
    const { row, column } = await to;
    await this.focus(row, column);
  }

  /** Frozen rows and others are not selected together. */
  private async extend(to: Place | Promise<Place>): Promise<void> {
    const { row, column } = await to;
    const from = this.selection;
    const [first, last] = from.row < this.frozen ? [0, this.frozen - 1] : [this.frozen, this.lines - 1];
    await this.show(from, { row: Math.min(Math.max(first, row), last), column });
  }

  /** From the cell with the focus to another one, as Enter and Tab go. */
  step(rows: number, columns: number): void {
    const { row, column } = this.selection;
    if (columns > 0) this.lineStart ??= column;
    const start = rows > 0 ? this.lineStart : undefined;
    if (columns === 0) this.lineStart = undefined;
    void this.typing.until(this.focus(row + rows, start ?? column + columns));
  }

  private async readSelection(): Promise<void> {
    const [focused, range] = await Promise.all([this.element.getFocused(), this.element.getSelectedRange()]);
    if (!focused) return;
    const offset = this.offset(focused.rowType);
    const { x, y } = focused.cell;
    const { x: c0, y: r0, x1, y1 } = range ?? { x, y, x1: x, y1: y };
    const rect = { r0: r0 + offset, r1: y1 + offset + 1, c0, c1: x1 + 1 };
    this.selection = { row: y + offset, column: x, rect };
    this.person.select(this.selection);
  }

  /** Which rows the grid drew. */
  private async readSpan(): Promise<void> {
    const providers = await this.element.getProviders();
    const items = providers?.viewport.stores.rgRow.store.get("items") ?? [];
    if (items.length === 0) return;
    const indexes = items.map((item) => item.itemIndex);
    this.span = [Math.min(...indexes), Math.max(...indexes) + 1];
  }

  private press(event: MouseEvent): void {
    const target = event.target as HTMLElement;
    if (target === this.typing.field()) return;
    this.lineStart = undefined;
    if (target.closest(".rgCell")) this.typing.closing();
    // The library keeps the browser from taking the focus out of a field elsewhere.
    const elsewhere = document.activeElement as HTMLElement | null;
    if (!this.element.contains(elsewhere)) elsewhere?.blur();
    void this.pressNumber(event);
  }

  /** A press on a row's number selects the row; selected rows are dragged by it. */
  private async pressNumber(event: MouseEvent): Promise<void> {
    const number = (event.target as HTMLElement).closest(".rowHeaders .rgCell")?.querySelector<HTMLElement>("[data-row]");
    if (!number) return;
    event.preventDefault();
    const row = Number(number.dataset["row"]);
    const { rect } = this.selection;
    const selected = rect.c0 === 0 && rect.c1 === this.columns && row >= rect.r0 && row < rect.r1;
    if (selected && event.button === 0 && !event.shiftKey) {
      const before = await dragRow(event, this.element);
      if (before !== undefined) {
        if (before < rect.r0 || before > rect.r1) this.person.move(rect, before);
        return;
      }
    }
    if (selected && event.button !== 0) return;
    const from = event.shiftKey ? Math.min(this.selection.row, row) : row;
    await this.selectRows(from, (event.shiftKey ? Math.max(this.selection.row, row) : row) + 1);
  }

  private async openMenu(event: MouseEvent): Promise<void> {
    const target = event.target as HTMLElement;
    if (target === this.typing.field()) return;
    event.preventDefault();
    // The press before this one has set the focus; the selection is known once that is drawn.
    await new Promise((done) => setTimeout(done, 50));
    const header = target.closest<HTMLElement>("revogr-header [data-rgcol]");
    if (header) await this.selectColumn(Number(header.dataset["rgcol"]));
    await this.readSelection();
    this.person.menu(event.clientX, event.clientY);
  }
}

type CreateElement = (tag: string, props: object, children?: unknown) => unknown;

function rowNumber(h: CreateElement, { model }: CellTemplateProp): unknown {
  const { index } = model as unknown as Line;
  return h("span", { class: "row-number", "data-row": String(index) }, String(index + 1));
}
