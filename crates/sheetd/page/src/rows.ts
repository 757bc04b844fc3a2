import type { Rect } from "./a1";
import * as api from "./api";
import { gathered } from "./gathered";
import type { Place } from "./moving";
import { changedAmongMoved, type Lines } from "./marks";

const PAGE = 200;
const FLASH_MS = 2600;
/** Rows that pass by while a person scrolls fast are not asked for. */
const SETTLE_MS = 60;
/** Changes that come in quick succession are read together. */
const GATHER_MS = 40;
/** More columns than a spreadsheet can have: makes one number of a row and a column. */
const STRIDE = 32768;

const ERROR = /^#(ERROR!|NULL!|DIV\/0!|VALUE!|REF!|NAME\?|NUM!|N\/A)$/;

/** Texts that could be taken for formulas, numbers, dates, times or booleans when they are typed. */
const ELSE = [
  /^['=+]/,
  /^[-($€£¥\s]*[.,]?\d[-\d.,:/\s]*(e[-+]?\d+)?[%)€£¥\s]*([ap]m)?$/i,
  /^-[a-z(]/i,
  /^[a-z]{3,9}\.?[ -]\d{1,4}(,? \d{2,4})?$/i,
  /^\d{1,2}\.?[ -][a-z]{3,9}\.?([ -]\d{2,4})?$/i,
  /^\s*(true|false)\s*$/i,
];

export interface Cell {
  shown: string;
  /** What a person gets to edit: the formula, or the value as they would type it. */
  typed: string;
  kind: "text" | "number" | "boolean" | "error";
  checkbox: boolean;
  note: string;
}

export const EMPTY: Cell = { shown: "", typed: "", kind: "text", checkbox: false, note: "" };

type Page = Cell[][];

export interface Watcher {
  /** The rows that a person sees now; the end is not part of it. */
  visible(): [number, number][];
  changed(): void;
  failed(error: Error): void;
}

/** The rows of one tab, as far as they were looked at. */
export class Rows {
  rowCount = 0;
  columnCount = 0;
  usedRows = 0;
  usedColumns = 0;

  private pages = new Map<number, Page>();
  private readonly wanted = new Set<number>();
  private settling: ReturnType<typeof setTimeout> | undefined;
  private generation = 0;
  private structural = false;
  private readonly readVisible = gathered(() => this.refreshOnce());
  /** Own writes that the server was not yet heard of. */
  private readonly mine = new Map<number, Cell>();
  /** Own insertions, deletions, moves and the like under way: what they change is not marked. */
  private shifting = 0;
  private readonly flashes = new Map<number, number>();
  private fading: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  constructor(
    readonly book: string,
    readonly tab: number,
    private readonly decimal: string,
    private readonly watcher: Watcher,
  ) {}

  /** The first rows, before anything is shown. */
  async open(): Promise<void> {
    this.pages = new Map(await this.read(0, 1));
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.settling);
    clearTimeout(this.fading);
  }

  /** Nothing where the row is still to be read, which this sets going. */
  cell(row: number, column: number): Cell | undefined {
    const mine = this.mine.get(row * STRIDE + column);
    if (mine) return mine;
    const page = this.pages.get(Math.floor(row / PAGE));
    if (page) return page[row % PAGE]?.[column] ?? EMPTY;
    if (row >= Math.max(this.rowCount, this.usedRows)) return EMPTY;
    this.want(Math.floor(row / PAGE));
    return undefined;
  }

  /** What is known of these cells. */
  cells({ r0, r1, c0, c1 }: Rect): Cell[][] {
    const line = (row: number): Cell[] => Array.from({ length: c1 - c0 }, (_, column) => this.cell(row, c0 + column) ?? EMPTY);
    return Array.from({ length: r1 - r0 }, (_, row) => line(r0 + row));
  }

  /** Which of two equal animations marks the cell, so that a second change starts it again. */
  flash(row: number, column: number): 0 | 1 | 2 {
    const since = this.flashes.get(row * STRIDE + column);
    if (since === undefined || performance.now() - since >= FLASH_MS) return 0;
    return Math.floor(since) % 2 === 0 ? 1 : 2;
  }

  /** Shows values at once, and takes them back if the server refuses them; null leaves a cell as it is. */
  async write(rect: Rect, values: (string | null)[][], save: () => Promise<unknown>): Promise<void> {
    const written = new Map<number, Cell>();
    for (let row = rect.r0; row < rect.r1; row++) {
      for (let column = rect.c0; column < rect.c1; column++) {
        const typed = values[row - rect.r0]?.[column - rect.c0] ?? null;
        if (typed !== null) written.set(row * STRIDE + column, this.guess(this.cell(row, column) ?? EMPTY, typed));
      }
    }
    for (const [key, cell] of written) this.mine.set(key, cell);
    this.watcher.changed();
    try {
      await save();
      await this.reread(false);
    } finally {
      for (const [key, cell] of written) if (this.mine.get(key) === cell) this.mine.delete(key);
      this.watcher.changed();
    }
  }

  /** Own insertions, deletions, moves and sorts, and what is taken back. */
  async shift<T>(save: () => Promise<T>): Promise<T> {
    this.shifting++;
    try {
      const saved = await save();
      await this.reread(true);
      return saved;
    } finally {
      this.shifting--;
    }
  }

  /** After own changes: these are saved, whether or not they can be read back now. */
  private reread(structural: boolean): Promise<void> {
    return this.refresh(structural).catch((error: Error) => this.watcher.failed(error));
  }

  /** Reads what is visible anew and marks what differs; the rest is forgotten. */
  refresh(structural: boolean): Promise<void> {
    this.structural ||= structural;
    return this.readVisible();
  }

  private async refreshOnce(): Promise<void> {
    await new Promise((done) => setTimeout(done, GATHER_MS));
    if (this.closed) return;
    this.generation++;
    const structural = this.structural;
    this.structural = false;
    const visible = this.watcher.visible();
    const read = await this.readAll(new Set(visible.flatMap(([from, to]) => pagesOf(from, to))));
    if (this.closed) return;
    const before = this.pages;
    this.pages = new Map(read);
    if (this.shifting === 0) {
      if (structural) this.markRows(before, visible);
      else this.markCells(before, visible);
    }
    this.watcher.changed();
  }

  private markCells(before: Map<number, Page>, visible: [number, number][]): void {
    for (const [row, old, now] of compared(before, this.pages, visible)) {
      for (let column = 0; column < Math.max(old.length, now.length); column++) {
        if (!same(old[column] ?? EMPTY, now[column] ?? EMPTY)) this.mark(row, column);
      }
    }
  }

  private markRows(before: Map<number, Page>, visible: [number, number][]): void {
    const seen = (row: number): boolean => visible.some(([from, to]) => row >= from && row < to);
    // What moved here from rows that were never read is not known to be new.
    const known = [...this.pages].filter(([n]) => before.has(n));
    for (const [row, column] of changedAmongMoved(lines(before), lines(known))) if (seen(row)) this.mark(row, column);
  }

  private mark(row: number, column: number): void {
    const key = row * STRIDE + column;
    if (this.mine.has(key)) return;
    const now = Math.floor(performance.now());
    // Even times show one animation, odd times the other.
    const same = this.flash(row, column) === (now % 2 === 0 ? 1 : 2);
    const since = same ? now + 1 : now;
    this.flashes.set(key, since);
    this.fading ??= setTimeout(() => this.fade(), FLASH_MS);
  }

  private fade(): void {
    const now = performance.now();
    for (const [key, since] of this.flashes) if (now - since >= FLASH_MS) this.flashes.delete(key);
    const next = Math.min(...this.flashes.values());
    this.fading = this.flashes.size > 0 ? setTimeout(() => this.fade(), next + FLASH_MS - now) : undefined;
    this.watcher.changed();
  }

  private want(page: number): void {
    this.wanted.add(page);
    this.settling ??= setTimeout(() => void this.readWanted(), SETTLE_MS);
  }

  private async readWanted(): Promise<void> {
    const visible = new Set(this.watcher.visible().flatMap(([from, to]) => pagesOf(from, to)));
    const numbers = [...this.wanted].filter((n) => visible.has(n));
    this.wanted.clear();
    await this.add(numbers);
    this.settling = undefined;
    this.watcher.changed();
  }

  /** Reads rows that are not known yet, whether they are visible or not. */
  async load(from: number, to: number): Promise<void> {
    await this.add(pagesOf(from, Math.min(to, this.usedRows)));
  }

  /** The cells of the whole tab that show a text, in upper or lower case. */
  async search(text: string): Promise<Place[]> {
    const wanted = text.toLowerCase();
    const { formatted } = await api.rows(this.book, this.tab, 0, this.usedRows);
    return formatted.flatMap((cells, row) =>
      cells.flatMap((shown, column) => (String(shown ?? "").toLowerCase().includes(wanted) ? [{ row, column }] : [])),
    );
  }

  known(from: number, to: number): boolean {
    return pagesOf(from, Math.min(to, this.usedRows)).every((n) => this.pages.has(n));
  }

  private async add(numbers: number[]): Promise<void> {
    const generation = this.generation;
    try {
      const read = await this.readAll(numbers.filter((n) => !this.pages.has(n)));
      // What changed meanwhile is asked for again when it is drawn.
      if (generation === this.generation) for (const [n, page] of read) this.pages.set(n, page);
    } catch (error) {
      if (!this.closed) this.watcher.failed(error as Error);
    }
  }

  /** Pages that follow one another come in one answer. */
  private async readAll(numbers: Iterable<number>): Promise<[number, Page][]> {
    const runs: [first: number, end: number][] = [];
    for (const n of [...numbers].sort((a, b) => a - b)) {
      const last = runs.at(-1);
      if (last?.[1] === n) last[1]++;
      else runs.push([n, n + 1]);
    }
    const read = await Promise.all(runs.map(([first, end]) => this.read(first, end)));
    return read.flat();
  }

  private async read(first: number, end: number): Promise<[number, Page][]> {
    const start = first * PAGE;
    const window = await api.rows(this.book, this.tab, start, end * PAGE);
    this.rowCount = window.rowCount;
    this.columnCount = window.columnCount;
    this.usedRows = window.usedRows;
    this.usedColumns = window.usedColumns;
    const read = window.formatted.map((row, r) =>
      row.map((shown, c) => this.take(shown, window.unformatted[r]?.[c], window.formulas[r]?.[c])),
    );
    const at = (row: number, column: number): Cell => {
      const cells = (read[row - start] ??= []);
      for (let c = cells.length; c <= column; c++) cells.push(EMPTY);
      const own = { ...(cells[column] ?? EMPTY) };
      cells[column] = own;
      return own;
    };
    for (const { row, column, note } of window.notes) at(row, column).note = note;
    for (const { row, column } of window.checkboxes) at(row, column).checkbox = true;
    const all = Array.from(read, (cells) => cells ?? []);
    return Array.from({ length: end - first }, (_, n) => [first + n, all.slice(n * PAGE, (n + 1) * PAGE)]);
  }

  private take(shown: api.Value = "", value: api.Value = "", formula: api.Value = ""): Cell {
    const text = String(shown ?? "");
    if (text === "" && (formula ?? "") === "") return EMPTY;
    const isFormula = typeof formula === "string" && formula.startsWith("=") && formula !== text;
    const kind =
      typeof value === "number" ? "number" : typeof value === "boolean" ? "boolean" : ERROR.test(text) ? "error" : "text";
    const typed = isFormula ? (formula as string) : this.typed(text, value);
    return { shown: text, typed, kind, checkbox: kind === "boolean", note: "" };
  }

  /** Plain numbers with all their digits; dates and amounts of money as they are shown. */
  private typed(shown: string, value: api.Value): string {
    if (typeof value === "number" && /^-?[\d.,\s]*$/.test(shown)) return String(value).replace(".", this.decimal);
    if (typeof value === "string" && ELSE.some((pattern) => pattern.test(value))) return `'${shown}`;
    return shown;
  }

  /** What the server will most likely make of what was typed. */
  private guess(cell: Cell, typed: string): Cell {
    const boolean = /^(true|false)$/i.test(typed);
    const number = typed !== "" && Number.isFinite(Number(typed));
    return {
      shown: boolean ? typed.toUpperCase() : typed,
      typed,
      kind: boolean ? "boolean" : number ? "number" : "text",
      checkbox: boolean || (cell.checkbox && cell.kind !== "boolean"),
      note: cell.note,
    };
  }
}

function pagesOf(from: number, to: number): number[] {
  const first = Math.floor(from / PAGE);
  const last = Math.floor(Math.max(from, to - 1) / PAGE);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** The visible rows of pages that are known from before and after. */
function* compared(
  before: Map<number, Page>,
  after: Map<number, Page>,
  visible: [number, number][],
): Generator<[row: number, old: Cell[], now: Cell[]]> {
  for (const [from, to] of visible) {
    for (let row = from; row < to; row++) {
      const old = before.get(Math.floor(row / PAGE));
      const now = after.get(Math.floor(row / PAGE));
      if (old && now) yield [row, old[row % PAGE] ?? [], now[row % PAGE] ?? []];
    }
  }
}

function same(a: Cell, b: Cell): boolean {
  return a.shown === b.shown && a.typed === b.typed && a.note === b.note && a.checkbox === b.checkbox;
}

function lines(pages: Iterable<[number, Page]>): Lines {
  return [...pages].flatMap(([n, page]) => page.map((cells, row): [number, Cell[]] => [n * PAGE + row, cells]));
}

