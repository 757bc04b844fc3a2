import type { Cell } from "./rows";

/** Rows of cells, each with its number. */
export type Lines = [row: number, cells: Cell[]][];

function text(cells: Cell[]): string {
  return cells.map((cell) => cell.shown).join("\t").trimEnd();
}

/**
 * The cells that are new or different where rows may stand elsewhere now. A row that was nowhere before is compared with the one
 * that is gone and has most in common with it; where there is none, the whole row is new.
 */
export function changedAmongMoved(before: Lines, now: Lines): [row: number, column: number][] {
  const gone = new Map<string, Cell[][]>();
  for (const [, cells] of before) {
    const same = gone.get(text(cells));
    if (same) same.push(cells);
    else gone.set(text(cells), [cells]);
  }
  const changed = now.filter(([, cells]) => cells.length > 0 && !gone.get(text(cells))?.pop());
  const left = new Set([...gone.values()].flat().filter((cells) => cells.length > 0));
  return changed.flatMap(([row, cells]) => {
    const old = mostAlike(cells, left);
    if (old) left.delete(old);
    const columns = Array.from({ length: Math.max(cells.length, old?.length ?? 0) }, (_, column) => column);
    const shown = (line: Cell[] | undefined, column: number): string => line?.[column]?.shown ?? "";
    return columns.filter((column) => shown(cells, column) !== shown(old, column)).map((column): [number, number] => [row, column]);
  });
}

function mostAlike(cells: Cell[], among: Iterable<Cell[]>): Cell[] | undefined {
  let best: Cell[] | undefined;
  let most = 0;
  for (const other of among) {
    const alike = cells.filter((cell, column) => cell.shown !== "" && cell.shown === other[column]?.shown).length;
    if (alike > most) [best, most] = [other, alike];
  }
  return best;
}
