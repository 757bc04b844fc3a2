// What happens elsewhere is what the page then shows.

import { Line, until } from "./harness.mjs";

const LIST = [["name", "n"], ["pear", 3], ["apple", 1], ["plum", 2]];

export const cases = {
  "a value written through the API is shown and marked for a moment": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await server.api(`${book}/values/list!A3?valueInputOption=RAW`, { values: [["quince"]] }, "PUT");
    await person.shows("A3", "quince");
    await until("A3 is marked", () => person.wasMarked("A3"), true);
    await until("the mark fades", () => person.marked("A3"), false);
    await until("A2 was not", () => person.wasMarked("A2"), false);
  },

  "own edits are not marked, what they compute is": async ({ server, person }) => {
    const book = await server.seed([[1], ["=A1*2"]]);
    await person.open(server, book);
    await person.type("A1", "5");
    await person.shows("A2", "10");
    await until("A2 is marked", () => person.wasMarked("A2"), true);
    await until("A1 is not", () => person.wasMarked("A1"), false);
  },

  "a row inserted through the API is marked, the rows it moves are not": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    const range = { sheetId: 0, dimension: "ROWS", startIndex: 1, endIndex: 2 };
    const cells = [{ userEnteredValue: { stringValue: "kiwi" } }];
    const requests = [
      { insertDimension: { range } },
      { updateCells: { start: { sheetId: 0, rowIndex: 1, columnIndex: 0 }, rows: [{ values: cells }], fields: "userEnteredValue" } },
    ];
    await server.api(`${book}:batchUpdate`, { requests }, "POST");
    await person.shows("A2", "kiwi");
    await person.shows("A5", "plum");
    await until("A2 is marked", () => person.wasMarked("A2"), true);
    await until("A3 is not", () => person.wasMarked("A3"), false);
  },

  "only what changed is marked where rows moved as well": async ({ server, person }) => {
    const book = await server.seed([...LIST, ["fig", 4], ["lime", 5]]);
    await person.open(server, book);
    const write = (row, column, value) => ({
      updateCells: { start: { sheetId: 0, rowIndex: row, columnIndex: column }, rows: [{ values: [{ userEnteredValue: { numberValue: value } }] }], fields: "userEnteredValue" },
    });
    const requests = [
      { insertDimension: { range: { sheetId: 0, dimension: "ROWS", startIndex: 1, endIndex: 2 } } },
      { moveDimension: { source: { sheetId: 0, dimension: "ROWS", startIndex: 5, endIndex: 6 }, destinationIndex: 3 } },
      write(1, 1, 9),
      write(5, 1, 8),
    ];
    await server.api(`${book}:batchUpdate`, { requests }, "POST");
    for (const [cell, text] of [["B2", "9"], ["A3", "pear"], ["A4", "fig"], ["A5", "apple"], ["A6", "plum"], ["B6", "8"], ["A7", "lime"]]) {
      await person.shows(cell, text);
    }
    const cells = ["A", "B"].flatMap((letter) => [1, 2, 3, 4, 5, 6, 7].map((row) => `${letter}${row}`));
    const marked = async () => {
      const all = await Promise.all(cells.map(async (cell) => [cell, await person.wasMarked(cell)]));
      return all.filter(([, was]) => was).map(([cell]) => cell);
    };
    await until("the marked cells", marked, ["B2", "B6"]);
  },

  "typing is not disturbed by what arrives": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A3");
    await person.page.keyboard.type("ban");
    await server.edit(book, { set: { cell: "A2", value: "lime" } });
    await person.shows("A2", "lime");
    await person.page.keyboard.type("ana");
    await person.page.keyboard.press("Enter");
    await until("the API", () => server.column(book), ["name", "lime", "banana", "plum"]);
  },

  "rows appended by a program show up": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    const path = `${book}/values/list:append?valueInputOption=USER_ENTERED`;
    await server.api(path, { values: [["fig", "=B2+1"]] }, "POST");
    await person.shows("A5", "fig");
    await person.shows("B5", "4");
    await until("the size", () => person.page.locator(".size").textContent(), "5 rows · 2 columns");
  },

  "hundreds of changes at once end in the right picture": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    const rows = Array.from({ length: 20 }, (_, i) => i + 1);
    for (let round = 0; round < 15; round++) {
      await Promise.all(rows.map((row) => server.edit(book, { set: { cell: `A${row}`, value: `${round}/${row}` } })));
      await server.edit(book, { insert_rows: { at: 1, count: 1 } });
      await server.edit(book, { delete_rows: { at: 1, count: 1 } });
    }
    for (const row of rows) await person.shows(`A${row}`, `14/${row}`);
  },

  "a frozen header stays in sight and rows are still counted from it": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    const properties = { sheetId: 0, gridProperties: { frozenRowCount: 1 } };
    const requests = [{ updateSheetProperties: { properties, fields: "gridProperties.frozenRowCount" } }];
    await server.api(`${book}:batchUpdate`, { requests }, "POST");
    await person.shows("A1", "name", 1);
    await person.cell("A2", 1).click();
    await until("the name", () => person.named(), "A2");
    await person.page.keyboard.type("date");
    await person.page.keyboard.press("Enter");
    await until("the API", () => server.column(book), ["name", "date", "apple", "plum"]);
    await person.cell("A1", 1).click();
    await until("the name", () => person.named(), "A1");
    await person.page.keyboard.type("fruit");
    await person.page.keyboard.press("Enter");
    await until("the API", () => server.column(book), ["fruit", "date", "apple", "plum"]);
  },

  "checkboxes of data validation are checkboxes, empty ones too": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    const range = { sheetId: 0, startRowIndex: 1, endRowIndex: 4, startColumnIndex: 2, endColumnIndex: 3 };
    const requests = [{ setDataValidation: { range, rule: { condition: { type: "BOOLEAN" } } } }];
    await server.api(`${book}:batchUpdate`, { requests }, "POST");
    const box = person.cell("C3").getByRole("checkbox");
    await until("unticked", () => box.getAttribute("aria-checked"), "false");
    await box.click();
    await until("the API", async () => (await server.row(book, 3))[2], "TRUE");
  },

  "tabs and spreadsheets made elsewhere appear, deleted ones go": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await server.edit(book, { add_tab: "more" });
    await until("the tabs", () => person.tabs(), ["list", "more"]);
    await person.page.locator(".home-link").click();
    const title = () => person.page.locator(".book .title").allTextContents();
    const seeded = await server.call("/_sheetd/spreadsheets", { title: "Just made" });
    await until("the list", title, (titles) => titles.includes("Just made"));
    await person.page.locator(".book", { hasText: "Just made" }).click();
    await until("its tab", () => person.tabs(), ["Sheet1"]);
    await fetch(`${server.url}/_sheetd/spreadsheets/${seeded.spreadsheetId}`, { method: "DELETE" });
    await until("the message", () => person.page.locator(".empty").textContent(), (text) => text.startsWith("This spreadsheet was deleted."));
  },

  "an address of nothing says so": async ({ server, person }) => {
    await person.page.goto(`${server.url}/#/nothing/here`);
    await until("the message", () => person.page.locator(".empty").textContent(), (text) => text.startsWith("There is no such spreadsheet here."));
  },

  "a lost connection is told, and what was missed is read afterwards": async ({ server, person }) => {
    const book = await server.seed(LIST);
    const line = new Line(server.url);
    await line.up();
    await person.open({ url: line.url }, book);
    line.down();
    await until("it is told", () => person.page.locator(".lost").isVisible(), true);
    await server.edit(book, { set: { cell: "A2", value: "lemon" } });
    await line.up();
    await person.shows("A2", "lemon");
    await until("it is over", () => person.page.locator(".lost").isVisible(), false);
    line.down();
  },
};
