import { address } from "./address";
import * as api from "./api";
import { askText } from "./dialog";
import { el, icon, toast } from "./dom";
import { gathered } from "./gathered";
import type { View } from "./view";

/** All spreadsheets. */
export function home(): View {
  const list = el("div", { className: "books" });
  const add = el("button", { type: "button", className: "primary" }, icon("plus"), "New spreadsheet");
  add.addEventListener("click", () => void create());
  const element = el(
    "main",
    { className: "home" },
    el("header", {}, el("h1", {}, "Spreadsheets"), add),
    list,
  );
  const load = gathered(async () => {
    try {
      const books = await api.books();
      list.replaceChildren(...(books.length > 0 ? books.map(entry) : [nothing()]));
    } catch (error) {
      list.replaceChildren(el("p", { className: "empty" }, (error as Error).message));
    }
  });
  void load();
  document.title = "sheetd";
  return { element, change: () => void load(), close: () => undefined };
}

function entry(book: api.BookInfo): HTMLElement {
  const titles = book.sheets.filter((tab) => !tab.hidden).map((tab) => tab.title).join(" · ");
  return el(
    "a",
    { className: "book", href: address(book.spreadsheetId) },
    el("span", { className: "mark" }),
    el("span", { className: "title" }, book.title),
    el("span", { className: "detail" }, titles),
    el("span", { className: "detail id" }, book.spreadsheetId),
  );
}

function nothing(): HTMLElement {
  return el(
    "p",
    { className: "empty" },
    "No spreadsheets yet. Make one here, or let a program make one through the API: it shows up by itself.",
  );
}

async function create(): Promise<void> {
  const title = await askText("New spreadsheet", "Untitled spreadsheet", false);
  if (!title) return;
  try {
    const { spreadsheetId } = await api.createBook(title);
    location.hash = address(spreadsheetId);
  } catch (error) {
    toast((error as Error).message);
  }
}
