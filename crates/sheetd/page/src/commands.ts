import { cellName, letters, rangeName, type Rect } from "./a1";
import type { Edit } from "./api";
import type { Icon } from "./dom";
import type { Selection } from "./grid";

/** What to do, and which rows to select afterwards. */
export interface Plan {
  edit: Edit;
  rows?: [number, number];
}

export interface Command {
  name: string;
  icon?: Icon;
  label(selection: Selection): string;
  keys?: string;
  pressed?(event: KeyboardEvent): boolean;
  /** Nothing where it makes no sense here. */
  plan(selection: Selection, tab: { sheetId: number; rowCount: number; header: number }): Plan | undefined;
}

function count(rect: Rect): number {
  return rect.r1 - rect.r0;
}

function rowsOf(rect: Rect): string {
  return count(rect) === 1 ? `row ${rect.r0 + 1}` : `rows ${rect.r0 + 1}–${rect.r1}`;
}

function some(rect: Rect): string {
  return count(rect) === 1 ? "1 row" : `${count(rect)} rows`;
}

function columnsOf({ c0, c1 }: Rect): string {
  return c1 - c0 === 1 ? `column ${letters(c0)}` : `columns ${letters(c0)}–${letters(c1 - 1)}`;
}

function sort(descending: boolean): Command {
  const [way, icon] = descending ? (["Z to A", "descending"] as const) : (["A to Z", "ascending"] as const);
  return {
    name: descending ? "sort-descending" : "sort-ascending",
    icon,
    label: ({ column }) => `Sort by column ${letters(column)}, ${way}`,
    plan: ({ column }, { header }) => ({ edit: { sort: { column: letters(column), descending, header_rows: header } } }),
  };
}

const alt = (event: KeyboardEvent): boolean => event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
const ctrl = (event: KeyboardEvent): boolean => (event.ctrlKey || event.metaKey) && !event.altKey;
const both = (event: KeyboardEvent): boolean => event.altKey && (event.ctrlKey || event.metaKey);

/** In the order of the toolbar and the menu; null is a line between groups. */
export const COMMANDS: readonly (Command | null)[] = [
  {
    name: "undo",
    icon: "undo",
    label: () => "Undo",
    keys: "Ctrl+Z",
    pressed: (event) => ctrl(event) && !event.shiftKey && event.key.toLowerCase() === "z",
    plan: () => ({ edit: { undo: true } }),
  },
  {
    name: "redo",
    icon: "redo",
    label: () => "Redo",
    keys: "Ctrl+Y",
    pressed: (event) => ctrl(event) && (event.shiftKey ? event.key.toLowerCase() === "z" : event.key.toLowerCase() === "y"),
    plan: () => ({ edit: { redo: true } }),
  },
  null,
  {
    name: "insert-above",
    icon: "above",
    label: ({ rect }) => `Insert ${some(rect)} above`,
    keys: "Ctrl+Alt+=",
    pressed: (event) => both(event) && event.code === "Equal",
    plan: ({ rect }) => ({ edit: { insert_rows: { at: rect.r0 + 1, count: count(rect) } }, rows: [rect.r0, rect.r1] }),
  },
  {
    name: "insert-below",
    icon: "below",
    label: ({ rect }) => `Insert ${some(rect)} below`,
    plan: ({ rect }) => ({
      edit: { insert_rows: { at: rect.r1 + 1, count: count(rect) } },
      rows: [rect.r1, rect.r1 + count(rect)],
    }),
  },
  {
    name: "delete-rows",
    icon: "remove",
    label: ({ rect }) => `Delete ${rowsOf(rect)}`,
    keys: "Ctrl+Alt+-",
    pressed: (event) => both(event) && event.code === "Minus",
    plan: ({ rect }, { rowCount }) =>
      rect.r0 < rowCount
        ? { edit: { delete_rows: { at: rect.r0 + 1, count: Math.min(rect.r1, rowCount) - rect.r0 } } }
        : undefined,
  },
  null,
  {
    name: "move-up",
    icon: "up",
    label: ({ rect }) => `Move ${rowsOf(rect)} up`,
    keys: "Alt+↑",
    pressed: (event) => alt(event) && event.key === "ArrowUp",
    plan: ({ rect }, { rowCount }) =>
      rect.r0 > 0 && rect.r1 <= rowCount ? move(rect, rect.r0 - 1) : undefined,
  },
  {
    name: "move-down",
    icon: "down",
    label: ({ rect }) => `Move ${rowsOf(rect)} down`,
    keys: "Alt+↓",
    pressed: (event) => alt(event) && event.key === "ArrowDown",
    plan: ({ rect }, { rowCount }) => (rect.r1 < rowCount ? move(rect, rect.r0 + 1) : undefined),
  },
  null,
  sort(false),
  sort(true),
];

/** Only in the menu. */
export const MORE: readonly (Command | null)[] = [
  null,
  {
    name: "clear",
    label: ({ rect }) => `Clear ${rangeName(rect)}`,
    keys: "Delete",
    pressed: (event) => event.key === "Delete" || event.key === "Backspace",
    plan: ({ rect }, { rowCount }) =>
      rect.r0 < rowCount ? { edit: { clear: rangeName({ ...rect, r1: Math.min(rect.r1, rowCount) }) } } : undefined,
  },
  {
    name: "fill-down",
    label: ({ rect }) => (count(rect) > 1 ? "Fill down" : "Fill from above"),
    keys: "Ctrl+D",
    pressed: (event) => ctrl(event) && !event.shiftKey && event.key.toLowerCase() === "d",
    plan: ({ rect }, tab) => fillDown(rect, tab),
  },
  null,
  {
    name: "insert-column",
    label: ({ rect }) => `Insert a column left of ${letters(rect.c0)}`,
    plan: ({ rect }) => ({ edit: { insert_columns: { at: rect.c0 + 1, count: 1 } } }),
  },
  {
    name: "delete-columns",
    label: ({ rect }) => `Delete ${columnsOf(rect)}`,
    plan: ({ rect }) => ({ edit: { delete_columns: { at: rect.c0 + 1, count: rect.c1 - rect.c0 } } }),
  },
];

/** The first row goes into the others; where there is but one, the row above goes into it. */
function fillDown(rect: Rect, { sheetId, rowCount }: { sheetId: number; rowCount: number }): Plan | undefined {
  const from = count(rect) > 1 ? rect.r0 : rect.r0 - 1;
  if (from < 0 || from >= rowCount) return undefined;
  const range = (start: number, end: number): object => ({
    sheetId,
    startRowIndex: start,
    endRowIndex: end,
    startColumnIndex: rect.c0,
    endColumnIndex: rect.c1,
  });
  const missing = rect.r1 - rowCount;
  const grow = missing > 0 ? [{ appendDimension: { sheetId, dimension: "ROWS", length: missing } }] : [];
  return { edit: { batch: [...grow, { copyPaste: { source: range(from, from + 1), destination: range(from + 1, rect.r1) } }] } };
}

/** `to` is where the first row stands afterwards. */
function move(rect: Rect, to: number): Plan {
  return { edit: { move_rows: { from: rect.r0 + 1, count: count(rect), to: to + 1 } }, rows: [to, to + count(rect)] };
}

export function moveBefore(rect: Rect, row: number): Plan {
  return move(rect, row > rect.r0 ? row - count(rect) : row);
}

export function noteEdit({ row, column }: Selection, note: string): Edit {
  return { note: { cell: cellName(row, column), note } };
}
