// What a person does in the page is what the API then shows.

import { until } from "./harness.mjs";

const LIST = [
  ["name", "n", "ok"],
  ["pear", 3, true],
  ["apple", 1, false],
  ["plum", 2, true],
];

export const cases = {
  "an edited cell reaches the API, parsed as typing is": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.type("B2", "1,234.5");
    await until("the API", async () => (await server.row(book, 2))[1], "1,234.50");
    await until("the next cell has the focus", () => person.named(), "B3");
  },

  "new rows are typed below the last one, and the grid grows": async ({ server, person }) => {
    const book = await server.seed(LIST, { rowCount: 4 });
    await person.open(server, book);
    await person.type("A5", "fig", "Tab");
    await until("Tab goes right", () => person.named(), "B5");
    await person.page.keyboard.type("7");
    await person.page.keyboard.press("Enter");
    await until("the API", () => server.row(book, 5), ["fig", "7"]);
  },

  "a formula is shown for editing, its result in the grid": async ({ server, person }) => {
    const book = await server.seed([[1], [2], ["=A1+A2"]]);
    await person.open(server, book);
    await person.shows("A3", "3");
    await person.click("A3");
    await until("the formula bar", () => person.formula(), "=A1+A2");
    await person.page.locator(".formula").fill("=A1+A2*10");
    await person.page.keyboard.press("Enter");
    await person.shows("A3", "21");
    await person.press("ArrowUp", "F2");
    await until("the editor", () => person.page.locator("revogr-edit textarea").inputValue(), "=A1+A2*10");
    await person.page.keyboard.press("Escape");
  },

  "Delete clears cells and Undo brings them back": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A2");
    await person.page.keyboard.press("Shift+ArrowDown");
    await until("two cells are selected", () => person.named(), "A2:A3");
    await person.page.keyboard.press("Delete");
    await until("the API", () => server.column(book), ["name", "", "", "plum"]);
    await person.page.keyboard.press("Control+z");
    await until("the API", () => server.column(book), ["name", "pear", "apple", "plum"]);
    await person.shows("A3", "apple");
  },

  "a checkbox is ticked with a click and with Space": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.cell("C3").getByRole("checkbox").click();
    await until("the API", async () => (await server.row(book, 3))[2], "TRUE");
    await person.click("B2");
    await person.page.keyboard.press("ArrowRight");
    await until("the focus", () => person.named(), "C2");
    await person.page.keyboard.press("Space");
    await until("the API", async () => (await server.row(book, 2))[2], "FALSE");
  },

  "letters typed fast on a slow machine all arrive, while others edit": async ({ server, person }) => {
    const words = ["fruit", "cherry", "lemon", "orange", "quince", "apricot"];
    const book = await server.seed(LIST);
    await person.open(server, book);
    const session = await person.page.context().newCDPSession(person.page);
    await session.send("Emulation.setCPUThrottlingRate", { rate: 10 });
    await person.click("A2");
    for (const word of words) {
      const edits = [...word].map((letter, n) => server.edit(book, { set: { cell: `D${n + 1}`, value: letter } }));
      await person.page.keyboard.type(word);
      await person.page.keyboard.press("Enter");
      await Promise.all(edits);
    }
    await until("the API", () => server.column(book), ["name", ...words]);
    await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
  },

  "rows are inserted above and below": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.menu("A3", "Insert 1 row above");
    await until("the API", () => server.column(book), ["name", "pear", "", "apple", "plum"]);
    await person.shows("A4", "apple");
    await until("the new row is selected", () => person.named(), (name) => name.startsWith("A3:"));
    await person.click("A5");
    await person.tool("insert-below");
    await until("the new row is selected", () => person.named(), (name) => name.startsWith("A6:"));
    await person.type("A6", "kiwi");
    await until("the API", () => server.column(book), ["name", "pear", "", "apple", "plum", "kiwi"]);
  },

  "rows are deleted, several at once too": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.page.locator('[data-row="1"]').click();
    await person.page.locator('[data-row="2"]').click({ modifiers: ["Shift"] });
    await until("two rows are selected", () => person.named(), "A2:Z3");
    await person.tool("delete-rows");
    await until("the API", () => server.column(book), ["name", "plum"]);
    await person.shows("A2", "plum");
    await person.shows("A3", "");
  },

  "rows are moved by keyboard": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A2");
    await person.page.keyboard.press("Alt+ArrowDown");
    await until("the API", () => server.column(book), ["name", "apple", "pear", "plum"]);
    await until("the row stays selected", () => person.named(), "A3:Z3");
    await person.page.keyboard.press("Alt+ArrowDown");
    await until("the API", () => server.column(book), ["name", "apple", "plum", "pear"]);
  },

  "rows are moved by dragging their numbers": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.page.locator('[data-row="3"]').click();
    await until("the row is selected", () => person.named(), "A4:Z4");
    await person.page.locator('[data-row="3"]').hover();
    await person.page.mouse.down();
    await person.page.locator('[data-row="1"]').hover({ position: { x: 10, y: 2 } });
    await person.page.mouse.up();
    await until("the API", () => server.column(book), ["name", "plum", "pear", "apple"]);
    await until("the row stays selected", () => person.named(), "A2:Z2");
  },

  "rows are sorted below the header": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.menu("A2", "Sort by column A, A to Z");
    await until("the API", () => server.column(book), ["name", "apple", "pear", "plum"]);
    await person.click("B2");
    await person.tool("sort-descending");
    await until("the API", () => server.column(book), ["name", "pear", "plum", "apple"]);
    await person.shows("A2", "pear");
  },

  "cells are copied as they are shown, and pasted": async ({ server, person }) => {
    const book = await server.seed([["a", "=1+1"], ["b", "x"]]);
    await person.open(server, book);
    await person.page.keyboard.press("Shift+ArrowRight");
    await until("two cells are selected", () => person.named(), "A1:B1");
    await person.page.keyboard.press("Control+c");
    await person.click("A4");
    await person.page.keyboard.press("Control+v");
    await until("the API", () => server.row(book, 4), ["a", "2"]);
  },

  "tabs are added, renamed and deleted": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.page.getByRole("button", { name: "Add a tab" }).click();
    await until("the tabs", () => person.tabs(), ["list", "Sheet2"]);
    await until("the new tab is open", () => person.page.url(), (url) => url.endsWith(`#/${book}/Sheet2`));
    await person.page.locator(".tabs a", { hasText: "Sheet2" }).dblclick();
    await person.page.keyboard.type("fruit");
    await person.page.keyboard.press("Enter");
    await until("the API", () => server.titles(book), ["list", "fruit"]);
    await person.page.locator(".tabs a", { hasText: "fruit" }).click({ button: "right" });
    await person.page.getByRole("menuitem", { name: "Delete…" }).click();
    await person.page.getByRole("button", { name: "Delete", exact: true }).click();
    await until("the API", () => server.titles(book), ["list"]);
    await person.shows("A2", "pear");
  },

  "a note is written, shown and marked": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.menu("A3", "Note…");
    await person.page.locator("dialog textarea").fill("Ripe in August");
    await person.page.getByRole("button", { name: "Save" }).click();
    await until("the corner", () => person.cell("A3").getAttribute("data-note"), "Ripe in August");
    await person.cell("A3").hover();
    await until("the note", () => person.page.locator(".note-card:visible").allTextContents(), ["Ripe in August"]);
  },

  "a refused edit is taken back and told": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.page.route("**/_sheetd/edit", (route) => route.fulfill({ status: 400, json: { error: "Not today" } }));
    await person.type("A2", "cherry");
    await until("the message", () => person.page.locator(".toast").allTextContents(), ["A2 was not saved: Not today"]);
    await person.shows("A2", "pear");
    await person.page.unroute("**/_sheetd/edit");
  },
};
