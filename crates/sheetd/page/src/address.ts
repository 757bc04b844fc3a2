/** The page's own addresses: `#/SPREADSHEET/TAB`. */
export function address(book: string, tab?: string): string {
  const parts = tab === undefined ? [book] : [book, tab];
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function parseAddress(hash: string): { book?: string; tab?: string } {
  const [book, tab] = hash.replace(/^#?\/?/, "").split("/").map(decode);
  return { ...(book ? { book } : {}), ...(tab ? { tab } : {}) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
