import { el } from "./dom";

/** Shows the note of the cell under the pointer. */
export function showNotes(sheet: HTMLElement): void {
  const card = el("div", { className: "note-card", role: "tooltip", hidden: true });
  sheet.addEventListener("mouseover", (event) => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[data-note]");
    card.hidden = !cell;
    if (!cell) return;
    sheet.append(card);
    card.textContent = cell.dataset["note"] ?? "";
    const box = cell.getBoundingClientRect();
    card.style.left = `${Math.min(box.right + 6, innerWidth - card.offsetWidth - 8)}px`;
    card.style.top = `${Math.min(box.top, innerHeight - card.offsetHeight - 8)}px`;
  });
  sheet.addEventListener("mouseleave", () => (card.hidden = true));
}
