type Props<T> = Partial<Omit<T, "style" | "dataset">> & { data?: Record<string, string> };

/** An element with its properties and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const { data, ...own } = props;
  const element = Object.assign(document.createElement(tag), own);
  Object.assign(element.dataset, data);
  element.append(...children);
  return element;
}

const ICONS = {
  back: "M10 3 5 8l5 5",
  undo: "M6 4 3 7l3 3M3 7h6a4 4 0 0 1 0 8H7",
  redo: "M10 4l3 3-3 3M13 7H7a4 4 0 0 0 0 8h1",
  above: "M2 9h12v5H2zM8 6V1M5.5 3.5h5",
  below: "M2 2h12v5H2zM8 10v5M5.5 12.5h5",
  remove: "M3 4h10M6 4V2h4v2M4.5 4l.7 10h5.6l.7-10",
  up: "M8 14V3M4 7l4-4 4 4",
  down: "M8 2v11M4 9l4 4 4-4",
  ascending: "M3 3v10M1 11l2 2 2-2M8 4h4M8 8h5M8 12h7",
  descending: "M3 3v10M1 11l2 2 2-2M8 4h7M8 8h5M8 12h4",
  note: "M2 2h12v8l-4 4H2zM10 14v-4h4",
  plus: "M8 3v10M3 8h10",
  find: "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2M11 11l3.5 3.5",
  close: "M4 4l8 8M12 4l-8 8",
} as const;

export type Icon = keyof typeof ICONS;

export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Says something in the corner for a while. */
export function toast(message: string): void {
  document.querySelector(".toast")?.remove();
  const shown = el("div", { className: "toast", role: "alert" }, message);
  document.body.append(shown);
  setTimeout(() => shown.remove(), 6000);
}
