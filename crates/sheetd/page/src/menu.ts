import { el } from "./dom";

export interface Item {
  label: string;
  keys?: string;
  run(): void;
}

/** A menu at a point of the page; null is a line between groups. */
export function openMenu(x: number, y: number, items: (Item | null)[], closed: () => void): void {
  document.querySelector<HTMLElement>(".menu")?.remove();
  const menu = el("div", { className: "menu", role: "menu" });
  const close = (): void => {
    if (!menu.isConnected) return;
    menu.remove();
    removeEventListener("mousedown", outside, true);
    closed();
  };
  const outside = (event: Event): void => {
    if (!menu.contains(event.target as Node)) close();
  };
  for (const item of items) {
    if (!item) {
      menu.append(el("hr"));
      continue;
    }
    const keys = el("kbd", {}, item.keys ?? "");
    const button = el("button", { type: "button", role: "menuitem" }, el("span", {}, item.label), keys);
    button.addEventListener("click", () => {
      close();
      item.run();
    });
    menu.append(button);
  }
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") step(menu, event.key === "ArrowDown" ? 1 : -1);
    event.stopPropagation();
  });
  // The grid gives up its focus when something else is pressed.
  for (const kind of ["mouseup", "touchend"]) menu.addEventListener(kind, (event) => event.preventDefault());
  document.body.append(menu);
  menu.style.left = `${Math.max(4, Math.min(x, innerWidth - menu.offsetWidth - 4))}px`;
  menu.style.top = `${Math.max(4, Math.min(y, innerHeight - menu.offsetHeight - 4))}px`;
  menu.querySelector("button")?.focus();
  addEventListener("mousedown", outside, true);
}

function step(menu: HTMLElement, by: number): void {
  const buttons = [...menu.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
  buttons[(at + by + buttons.length) % buttons.length]?.focus();
}
