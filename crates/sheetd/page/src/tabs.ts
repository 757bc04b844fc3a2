import type { BookInfo, Edit, TabInfo } from "./api";
import { askText, confirm } from "./dialog";
import { el, icon } from "./dom";
import { openMenu } from "./menu";
import { address } from "./address";

/** The strip of tabs below the grid. */
export class Tabs {
  readonly element = el("nav", { className: "tabs", ariaLabel: "Tabs" });

  constructor(
    private readonly change: (tab: number, edit: Edit) => Promise<boolean>,
    private readonly closed: () => void,
  ) {}

  show(book: BookInfo, current: number | undefined): void {
    const visible = book.sheets.filter((tab) => !tab.hidden || tab.sheetId === current);
    const add = el("button", { type: "button", className: "add", title: "Add a tab", ariaLabel: "Add a tab" }, icon("plus"));
    add.addEventListener("click", () => void this.add(book));
    const links = visible.map((tab) => this.link(book, tab, tab.sheetId === current));
    this.element.replaceChildren(add, el("div", { className: "strip" }, ...links));
    this.element.querySelector("[aria-current]")?.scrollIntoView({ inline: "nearest", block: "nearest" });
  }

  private link(book: BookInfo, tab: TabInfo, current: boolean): HTMLElement {
    const link = el("a", { href: address(book.spreadsheetId, tab.title), draggable: false }, tab.title);
    if (current) link.setAttribute("aria-current", "page");
    link.addEventListener("dblclick", () => void this.rename(tab));
    link.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      const items = [{ label: "Rename…", run: () => void this.rename(tab) }];
      if (book.sheets.length > 1) items.push({ label: "Delete…", run: () => void this.remove(tab) });
      openMenu(event.clientX, event.clientY, items, this.closed);
    });
    return link;
  }

  private async add(book: BookInfo): Promise<void> {
    const titles = new Set(book.sheets.map((tab) => tab.title));
    let n = book.sheets.length + 1;
    while (titles.has(`Sheet${n}`)) n++;
    const [anyTab] = book.sheets;
    if (anyTab && (await this.change(anyTab.sheetId, { add_tab: `Sheet${n}` }))) {
      location.hash = address(book.spreadsheetId, `Sheet${n}`);
    }
  }

  private async rename(tab: TabInfo): Promise<void> {
    const title = await askText("Rename tab", tab.title, false);
    if (title && title !== tab.title) await this.change(tab.sheetId, { rename_tab: title });
  }

  private async remove(tab: TabInfo): Promise<void> {
    const sure = await confirm(`Delete “${tab.title}”?`, "The tab and all its rows go. Undo brings them back.", "Delete");
    if (sure) await this.change(tab.sheetId, { delete_tab: true });
  }
}
