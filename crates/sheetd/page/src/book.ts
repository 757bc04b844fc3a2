import { cellName, rangeName, type Rect } from "./a1";
import { address } from "./address";
import * as api from "./api";
import { COMMANDS, MORE, moveBefore, noteEdit, type Command, type Plan } from "./commands";
import { askText } from "./dialog";
import { el, icon, toast } from "./dom";
import { FindBar } from "./find";
import { FormulaBar } from "./formula-bar";
import { gathered } from "./gathered";
import { Grid, type Selection } from "./grid";
import { openMenu, type Item } from "./menu";
import { showNotes } from "./notes";
import { Rows } from "./rows";
import { Tabs } from "./tabs";
import type { View } from "./view";

const FIRST: Selection = { row: 0, column: 0, rect: { r0: 0, r1: 1, c0: 0, c1: 1 } };

/** A spreadsheet, with one of its tabs open. */
export class BookView implements View {
  private readonly title = el("h1");
  private readonly sheet = el("div", { className: "sheet" });
  private readonly size = el("span", { className: "size" });
  private readonly toolbar = el("div", { className: "toolbar", role: "toolbar" });
  private readonly bar = new FormulaBar(
    (row, column) => void this.grid?.focus(row, column),
    (selection, text) => this.write({ ...at(selection) }, [[text]]),
    (rows, columns) => this.grid?.step(rows, columns),
  );
  private readonly tabs = new Tabs(
    async (tab, edit) => !!(await this.send(() => api.edit(this.id, tab, edit), true)),
    () => void this.grid?.refocus(),
  );
  private readonly find = new FindBar({
    search: (text) => this.rows?.search(text) ?? Promise.resolve([]),
    focused: () => this.selection,
    go: async (cell) => this.grid?.focus(cell.row, cell.column),
    mark: (cells) => void this.grid?.markFound(cells),
    leave: () => void this.grid?.refocus(),
  });
  readonly element = el(
    "main",
    { className: "workbook" },
    el(
      "header",
      {},
      el("a", { className: "home-link", href: "#/", title: "All spreadsheets", ariaLabel: "All spreadsheets" }, icon("back")),
      el("span", { className: "mark" }),
      this.title,
      this.toolbar,
      el("span", { className: "live" }),
    ),
    this.bar.element,
    this.find.element,
    this.sheet,
    el("footer", {}, this.tabs.element, this.size),
  );

  private tab: api.TabInfo | undefined;
  private rows: Rows | undefined;
  private grid: Grid | undefined;
  private selection = FIRST;
  private wanted: string | undefined;
  private readonly reopen = gathered(() => this.restructure());
  private closed = false;

  constructor(
    readonly id: string,
    wanted: string | undefined,
  ) {
    this.drawToolbar();
    showNotes(this.sheet);
    void this.open(wanted);
  }

  close(): void {
    this.closed = true;
    this.grid?.close();
    this.rows?.close();
  }

  /** Opens the tab of this title or id, the first one where none is named. */
  async open(wanted: string | undefined): Promise<void> {
    this.wanted = wanted;
    try {
      const info = await api.book(this.id);
      if (this.closed || wanted !== this.wanted) return;
      if (!info) return this.fail("There is no such spreadsheet here.");
      const tab = wanted === undefined ? first(info) : find(info, wanted);
      if (!tab) return this.fail(`“${info.title}” has no tab “${wanted ?? ""}”.`, info);
      this.show(info, tab);
      if (tab.sheetId !== this.rows?.tab) await this.load(info, tab);
    } catch (error) {
      this.fail((error as Error).message);
    }
  }

  change(change?: api.Change): void {
    if (change && change.spreadsheetId !== this.id && change.kind !== "reset") return;
    const structural = !change || change.changes.length === 0 || change.changes.some((part) => !part.range);
    if (structural) void this.reopen();
    else void this.refresh(false);
  }

  private async refresh(structural: boolean): Promise<void> {
    try {
      await this.rows?.refresh(structural);
    } catch (error) {
      if (error instanceof api.Refused) toast(error.message);
    }
  }

  /** Tabs may have come, gone, or got other names and sizes. */
  private async restructure(): Promise<void> {
    try {
      const info = await api.book(this.id);
      if (this.closed) return;
      if (!info) return this.fail("This spreadsheet was deleted.");
      const tab = info.sheets.find((tab) => tab.sheetId === this.tab?.sheetId);
      if (!tab) return await this.open(this.rows ? undefined : this.wanted);
      const refrozen = frozen(tab) !== frozen(this.tab);
      this.show(info, tab);
      if (refrozen || !this.rows) await this.load(info, tab);
      else await this.refresh(true);
    } catch (error) {
      if (error instanceof api.Refused) this.fail(error.message);
    }
  }

  private show(info: api.BookInfo, tab: api.TabInfo): void {
    this.tab = tab;
    this.title.textContent = info.title;
    document.title = `${info.title} – sheetd`;
    history.replaceState(null, "", address(this.id, tab.title));
    this.tabs.show(info, tab.sheetId);
  }

  private async load(info: api.BookInfo, tab: api.TabInfo): Promise<void> {
    this.rows?.close();
    if (!this.find.element.hidden) this.find.close();
    const rows = new Rows(this.id, tab.sheetId, decimalOf(info.locale), {
      visible: () => this.grid?.visible() ?? [],
      changed: () => void this.redraw(),
      failed: (error) => toast(error.message),
    });
    this.rows = rows;
    await rows.open();
    if (this.closed || this.rows !== rows) return;
    this.grid?.close();
    this.grid = new Grid(rows, frozen(tab), {
      select: (selection) => this.select(selection),
      write: (rect, values) => this.write(rect, values),
      move: (rect, before) => void this.grid?.hold(this.act(moveBefore(rect, before))),
      reading: () => toast("These rows are read first: copy again in a moment."),
      typing: (text) => this.bar.follow(text),
      menu: (x, y) => this.openMenu(x, y),
      key: (event) => this.key(event),
    });
    this.sheet.replaceChildren(this.grid.element);
    await this.grid.ready();
    // A tab that was pressed would keep the keys from the grid.
    (document.activeElement as HTMLElement | null)?.blur();
    this.select(FIRST);
    await this.grid.focus(0, 0);
    this.showSize();
  }

  private async redraw(): Promise<void> {
    this.showSize();
    this.find.changed();
    await this.grid?.redraw();
    this.showTyped();
  }

  private showSize(): void {
    const { usedRows = 0, usedColumns = 0 } = this.rows ?? {};
    const many = (n: number, what: string): string => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
    this.size.textContent = usedRows === 0 ? "Empty" : `${many(usedRows, "row")} · ${many(usedColumns, "column")}`;
  }

  private fail(message: string, info?: api.BookInfo): void {
    this.rows?.close();
    this.rows = undefined;
    this.grid?.close();
    this.grid = undefined;
    this.size.textContent = "";
    this.bar.clear();
    if (info) {
      this.title.textContent = info.title;
      this.tabs.show(info, undefined);
    }
    const back = el("a", { href: info ? address(info.spreadsheetId) : "#/" }, info ? "Open its first tab" : "All spreadsheets");
    this.sheet.replaceChildren(el("p", { className: "empty" }, message, el("br"), back));
  }

  private select(selection: Selection): void {
    this.selection = selection;
    this.showTyped();
    for (const button of this.toolbar.querySelectorAll("button")) {
      const command = COMMANDS.find((command) => command?.name === button.dataset["command"]);
      if (command) describe(button, command, selection);
    }
  }

  private showTyped(): void {
    const { row, column } = this.selection;
    this.bar.show(this.selection, this.rows?.cell(row, column)?.typed ?? "");
  }

  private write(rect: Rect, values: (string | null)[][]): void {
    const { rows, tab } = this;
    if (!rows || !tab) return;
    const edit: api.Edit = { set_range: { cell: cellName(rect.r0, rect.c0), values } };
    rows.write(rect, values, () => api.edit(this.id, tab.sheetId, edit)).catch((error: Error) => {
      toast(`${rangeName(rect)} was not saved: ${error.message}`);
    });
  }

  /** What the server answers; nothing where it refuses, which is told. */
  private async send(act: () => Promise<api.Edited>, structural: boolean): Promise<api.Edited | undefined> {
    try {
      return structural && this.rows ? await this.rows.shift(act) : await act();
    } catch (error) {
      toast((error as Error).message);
      return undefined;
    }
  }

  private async run(command: Command): Promise<void> {
    const { rows, tab } = this;
    if (!rows || !tab) return;
    const header = Math.max(1, frozen(tab));
    const plan = command.plan(this.selection, { sheetId: tab.sheetId, rowCount: rows.rowCount, header });
    if (plan) await this.grid?.hold(this.act(plan));
  }

  private async act(plan: Plan): Promise<void> {
    const { tab, grid } = this;
    if (!tab || !grid) return;
    await grid.refocus();
    const done = await this.send(() => api.edit(this.id, tab.sheetId, plan.edit), true);
    if (!done) return;
    if (plan.rows) await grid.selectRows(...plan.rows);
    if (done.kept) toast(`Others have changed ${done.kept === 1 ? "1 cell" : `${done.kept} cells`} since: left as they are.`);
    const range = done.changes?.find((change) => change.sheetId === tab.sheetId)?.range;
    if (range) await grid.select(range);
  }

  private async editNote(): Promise<void> {
    const { rows, tab, selection } = this;
    if (!rows || !tab) return;
    const name = cellName(selection.row, selection.column);
    const old = rows.cell(selection.row, selection.column)?.note ?? "";
    const note = await askText(`Note on ${name}`, old, true);
    await this.grid?.refocus();
    if (note !== undefined && note !== old) {
      await this.send(() => api.edit(this.id, tab.sheetId, noteEdit(selection, note)), false);
    }
  }

  private key(event: KeyboardEvent): boolean {
    if (event.key === "F2" && event.shiftKey && !event.ctrlKey && !event.altKey) {
      void this.editNote();
      return true;
    }
    if (event.key.toLowerCase() === "f" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      this.find.open();
      return true;
    }
    const command = [...COMMANDS, ...MORE].find((command) => command?.pressed?.(event));
    if (command) void this.run(command);
    return !!command;
  }

  private openMenu(x: number, y: number): void {
    const items: (Item | null)[] = [...COMMANDS, ...MORE].map(
      (command) =>
        command && {
          label: command.label(this.selection),
          keys: command.keys ?? "",
          run: () => void this.run(command),
        },
    );
    items.push(null, { label: "Find…", keys: "Ctrl+F", run: () => this.find.open() });
    items.push({ label: "Note…", keys: "Shift+F2", run: () => void this.editNote() });
    openMenu(x, y, items, () => void this.grid?.refocus());
  }

  private drawToolbar(): void {
    for (const command of COMMANDS) {
      if (!command?.icon) {
        this.toolbar.append(el("span", { className: "gap" }));
        continue;
      }
      const button = el("button", { type: "button", data: { command: command.name } }, icon(command.icon));
      describe(button, command, this.selection);
      // The grid keeps its focus while its tools are pressed.
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("mouseup", (event) => event.preventDefault());
      button.addEventListener("click", () => void this.run(command));
      this.toolbar.append(button);
    }
  }
}

function describe(button: HTMLButtonElement, command: Command, selection: Selection): void {
  const label = command.label(selection);
  button.title = command.keys ? `${label} (${command.keys})` : label;
  button.ariaLabel = label;
}

function at({ row, column }: Selection): Rect {
  return { r0: row, r1: row + 1, c0: column, c1: column + 1 };
}

function first(info: api.BookInfo): api.TabInfo | undefined {
  return info.sheets.find((tab) => !tab.hidden);
}

function find(info: api.BookInfo, wanted: string): api.TabInfo | undefined {
  return info.sheets.find((tab) => tab.title === wanted) ?? info.sheets.find((tab) => String(tab.sheetId) === wanted);
}

function frozen(tab: api.TabInfo | undefined): number {
  return tab?.gridProperties.frozenRowCount ?? 0;
}

/** How the spreadsheet's locale writes the decimal sign. */
function decimalOf(locale: string): string {
  try {
    return (1.5).toLocaleString(locale.replace("_", "-")).charAt(1);
  } catch {
    return ".";
  }
}
