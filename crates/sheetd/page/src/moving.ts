import type { Rows } from "./rows";

export interface Place {
  row: number;
  column: number;
}

/** Rows that are read at once on the way to the edge of the data. */
const AHEAD = 5000;
const TRIES = 3;

/** Where Ctrl+arrow leads: to the end of the cells that are filled, or over the empty ones to the next that is. */
export async function edge(rows: Rows, from: Place, [down, right]: [number, number], last: Place): Promise<Place> {
  const next = ({ row, column }: Place): Place => ({ row: row + down, column: column + right });
  const inside = ({ row, column }: Place): boolean => row >= 0 && column >= 0 && row <= last.row && column <= last.column;
  const filled = async ({ row, column }: Place): Promise<boolean> => {
    for (let tries = 0; tries < TRIES && !rows.known(row, row + 1); tries++) {
      await (down < 0 ? rows.load(Math.max(0, row - AHEAD), row + 1) : rows.load(row, row + AHEAD));
    }
    return rows.known(row, row + 1) && rows.cell(row, column)?.typed !== "";
  };
  let at = from;
  if (!inside(next(at))) return at;
  const along = (await filled(at)) && (await filled(next(at)));
  do at = next(at);
  while (inside(next(at)) && (along ? await filled(next(at)) : !(await filled(at))));
  return at;
}
