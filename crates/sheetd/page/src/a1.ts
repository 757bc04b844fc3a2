/** Rows and columns from 0; the end is not part of it. */
export interface Rect {
  r0: number;
  r1: number;
  c0: number;
  c1: number;
}

/** A, B, ... Z, AA, ... */
export function letters(column: number): string {
  let name = "";
  for (let n = column + 1; n > 0; n = Math.floor((n - 1) / 26)) {
    name = String.fromCharCode(65 + ((n - 1) % 26)) + name;
  }
  return name;
}

export function cellName(row: number, column: number): string {
  return letters(column) + (row + 1);
}

export function rangeName(rect: Rect): string {
  const first = cellName(rect.r0, rect.c0);
  const last = cellName(rect.r1 - 1, rect.c1 - 1);
  return first === last ? first : `${first}:${last}`;
}

/** The cell that a person named, such as `b3`. */
export function parseCell(text: string): { row: number; column: number } | undefined {
  const match = /^\s*([A-Za-z]{1,3})([1-9]\d{0,7})\s*$/.exec(text);
  if (!match?.[1] || !match[2]) return undefined;
  const column = [...match[1].toUpperCase()].reduce((n, letter) => n * 26 + letter.charCodeAt(0) - 64, 0);
  return { row: Number(match[2]) - 1, column: column - 1 };
}

export function contains(rect: Rect, row: number, column: number): boolean {
  return row >= rect.r0 && row < rect.r1 && column >= rect.c0 && column < rect.c1;
}
