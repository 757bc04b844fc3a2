/** Where a key leads from a field that is left with it; nothing for a key that stays in the field. */
export function stepOf(event: KeyboardEvent, arrows: boolean): [rows: number, columns: number] | undefined {
  if (event.altKey || event.ctrlKey || event.metaKey) return undefined;
  const back = event.shiftKey ? -1 : 1;
  if (event.key === "Enter") return [back, 0];
  if (event.key === "Tab") return [0, back];
  return arrows && !event.shiftKey ? ARROWS[event.key] : undefined;
}

export const ARROWS: Partial<Record<string, [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function isLineBreak(event: KeyboardEvent): boolean {
  return event.key === "Enter" && (event.altKey || event.ctrlKey || event.metaKey);
}

/** As if it were typed or pasted; the browser can undo it. */
export function insertText(field: HTMLTextAreaElement, text: string): void {
  field.focus();
  document.execCommand("insertText", false, text);
}

/** What a key does in a field that could not be open yet when it was pressed. */
export function typeKey(field: HTMLTextAreaElement, event: KeyboardEvent): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const { selectionStart: from, selectionEnd: to, value } = field;
  const caret = (at: number): void => field.setSelectionRange(at, at);
  if (event.key.length === 1) insertText(field, event.key);
  else if (event.key === "Backspace") document.execCommand("delete");
  else if (event.key === "Delete") document.execCommand("forwardDelete");
  else if (event.key === "ArrowLeft") caret(Math.max(0, from - 1));
  else if (event.key === "ArrowRight") caret(Math.min(value.length, to + 1));
  else if (event.key === "Home") caret(value.lastIndexOf("\n", from - 1) + 1);
  else if (event.key === "End") caret(value.slice(to).includes("\n") ? value.indexOf("\n", to) : value.length);
}
