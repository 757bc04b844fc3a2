/** Cells as text, the way spreadsheets exchange them: tabs and line breaks between cells, quotes around those that hold such. */
export function toTsv(cells: string[][]): string {
  return cells.map((line) => line.map(quoted).join("\t")).join("\n");
}

function quoted(text: string): string {
  return /[\t\r\n]|^"/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A quoted cell that a tab, a line break or the end follows. */
const QUOTED = /"([^"]*(?:""[^"]*)*)"(?=[\t\r\n]|$)/y;
const PLAIN = /[^\t\r\n]*/y;

export function parseTsv(text: string): string[][] {
  // Many programs end the last line, too.
  const whole = text.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  const cells: string[][] = [[]];
  for (let at = 0; ; at++) {
    const [taken, cell] = cellAt(whole, at);
    cells.at(-1)?.push(cell);
    at += taken;
    if (at >= whole.length) return cells;
    if (whole[at] === "\n") cells.push([]);
  }
}

function cellAt(text: string, at: number): [taken: number, cell: string] {
  QUOTED.lastIndex = PLAIN.lastIndex = at;
  const [whole, inner] = QUOTED.exec(text) ?? [];
  // Some programs put quotes only around what needs them; other quotes are a part of the text.
  if (whole !== undefined && inner !== undefined && /[\t\n]|""/.test(inner)) return [whole.length, inner.replaceAll('""', '"')];
  const plain = PLAIN.exec(text)?.[0] ?? "";
  return [plain.length, plain];
}

/** The first table of a piece of HTML. */
export function parseTable(html: string): string[][] | undefined {
  const table = new DOMParser().parseFromString(html, "text/html").querySelector("table");
  if (!table) return undefined;
  for (const lineBreak of table.querySelectorAll("br")) lineBreak.replaceWith("\uE000");
  const text = (cell: HTMLElement): string =>
    (cell.textContent ?? "").replace(/\s*[\r\n]\s*/g, " ").replaceAll("\uE000", "\n").trim();
  const cells = [...table.rows].map((row) => [...row.cells].map(text));
  return cells.length > 0 ? cells : undefined;
}
