import type { Rect } from "./a1";

export type Value = string | number | boolean | null;

export interface TabInfo {
  sheetId: number;
  title: string;
  hidden?: boolean;
  gridProperties: { rowCount: number; columnCount: number; frozenRowCount?: number };
}

export interface BookInfo {
  spreadsheetId: string;
  title: string;
  trashed: boolean;
  locale: string;
  owner: string;
  sheets: TabInfo[];
}

/** A window of a tab, as the control endpoint gives it. */
export interface Window {
  rowCount: number;
  columnCount: number;
  usedRows: number;
  usedColumns: number;
  formatted: Value[][];
  unformatted: Value[][];
  formulas: Value[][];
  notes: { row: number; column: number; note: string }[];
  checkboxes: { row: number; column: number }[];
}

/** What a person does; rows count from 1 (README, "Control endpoints"). */
export type Edit =
  | { set_range: { cell: string; values: Value[][] } }
  | { clear: string }
  | { note: { cell: string; note: string } }
  | { insert_rows: { at: number; count: number } }
  | { delete_rows: { at: number; count: number } }
  | { move_rows: { from: number; count: number; to: number } }
  | { insert_columns: { at: number; count: number } }
  | { delete_columns: { at: number; count: number } }
  | { sort: { column: string; descending: boolean; header_rows: number } }
  | { rename_tab: string }
  | { add_tab: string }
  | { delete_tab: true }
  /** Requests of batchUpdate. */
  | { batch: object[] }
  | { undo: true }
  | { redo: true };

/** What taking an edit back answers. */
export interface Edited {
  changes?: { sheetId: number; range?: Rect }[];
  /** Cells that stay as others have changed them since. */
  kept?: number;
}

export interface Change {
  spreadsheetId: string;
  kind: string;
  origin: "api" | "person";
  changes: { sheetId: number; kind: string; range?: Rect }[];
}

/** A refusal, in the server's words. */
export class Refused extends Error {}

async function call<T>(path: string, init?: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`/_sheetd/${path}`, init);
  } catch {
    throw new Error("sheetd does not answer");
  }
  const body = (await response.json()) as T & { error?: string };
  if (!response.ok) throw new Refused(body.error ?? response.statusText);
  return body;
}

function post<T>(path: string, body: unknown): Promise<T> {
  return call<T>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

export async function books(): Promise<BookInfo[]> {
  const { spreadsheets } = await call<{ spreadsheets: BookInfo[] }>("spreadsheets");
  return spreadsheets.filter((book) => !book.trashed);
}

export async function book(id: string): Promise<BookInfo | undefined> {
  return (await books()).find((book) => book.spreadsheetId === id);
}

export function createBook(title: string): Promise<{ spreadsheetId: string }> {
  return post("spreadsheets", { title, sheets: [{ title: "Sheet1" }] });
}

export function rows(book: string, tab: number, start: number, end: number): Promise<Window> {
  return call(`spreadsheets/${encodeURIComponent(book)}/sheets/${tab}/values?start=${start}&end=${end}`);
}

/** Tells the server what was done in this page, so that it can be taken back here. */
const editor = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
let last: Promise<unknown> = Promise.resolve();

/** Edits arrive in the order in which they were made. */
export function edit(book: string, tab: number, edit: Edit): Promise<Edited> {
  const send = (): Promise<Edited> => post("edit", { spreadsheetId: book, sheet: tab, editor, edit });
  const sent = last.then(send, send);
  last = sent;
  return sent;
}
