import { el } from "./dom";

/** The row whose number is under a point, and its box. */
function rowAt(x: number, y: number): { row: number; box: DOMRect } | undefined {
  const cell = document.elementFromPoint(x, y)?.closest(".rowHeaders .rgCell");
  const row = cell?.querySelector<HTMLElement>("[data-row]")?.dataset["row"];
  return cell && row !== undefined ? { row: Number(row), box: cell.getBoundingClientRect() } : undefined;
}

/** Follows a drag that starts on a row's number; gives the row before which it ends, nothing where it was no drag. */
export function dragRow(start: MouseEvent, sheet: HTMLElement): Promise<number | undefined> {
  const line = el("div", { className: "drop-line", hidden: true });
  sheet.append(line);
  let before: number | undefined;
  const follow = (event: MouseEvent): void => {
    const under = rowAt(start.clientX, event.clientY);
    if (!under || (before === undefined && Math.abs(event.clientY - start.clientY) < 4)) return;
    const lower = event.clientY > under.box.top + under.box.height / 2;
    before = under.row + (lower ? 1 : 0);
    line.hidden = false;
    line.style.top = `${(lower ? under.box.bottom : under.box.top) - sheet.getBoundingClientRect().top - 1}px`;
  };
  addEventListener("mousemove", follow);
  return new Promise((dropped) => {
    addEventListener(
      "mouseup",
      () => {
        removeEventListener("mousemove", follow);
        line.remove();
        dropped(before);
      },
      { once: true },
    );
  });
}
