import type { Change } from "./api";

/** What fills the page. */
export interface View {
  element: HTMLElement;
  /** Something changed; nothing is given where it is unknown what. */
  change(change?: Change): void;
  close(): void;
}
