// What real key presses do in the grid, as in Google Sheets.

import { until } from "./harness.mjs";

const LIST = [
  ["name", "n", "ok"],
  ["pear", 3, true],
  ["apple", 1, false],
  ["plum", 2, true],
];

export const cases = {
  "a note typed into its dialog goes nowhere else": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A3");
    await person.press("Shift+F2");
    await person.page.locator("dialog textarea").waitFor();
    await person.keys("Ripe in August");
    await person.press("Enter");
    await person.keys("or later");
    await person.press("ArrowLeft", "Backspace", "Control+Enter");
    await until("the note", () => person.cell("A3").getAttribute("data-note"), "Ripe in August\nor latr");
    await until("the API", () => server.column(book), ["name", "pear", "apple", "plum"]);
    await until("the focus", () => person.named(), "A3");
    await person.keys("fig");
    await person.press("Enter");
    await until("the API", () => server.column(book), ["name", "pear", "fig", "plum"]);
  },

  "F2 and Enter keep the line breaks of a cell": async ({ server, person }) => {
    const book = await server.seed([["one\ntwo", "x"]]);
    await person.open(server, book);
    await person.press("F2");
    await until("the editor", () => person.editor(), "one\ntwo");
    await person.press("Enter");
    await until("the focus", () => person.named(), "A2");
    await person.press("ArrowUp", "F2");
    await person.keys("!");
    await person.press("Enter");
    await until("the API", () => server.row(book, 1), ["one\ntwo!", "x"]);
  },

  "Alt+Enter and Ctrl+Enter break the line, and typing goes on in the cell": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A2");
    await person.keys("one");
    await person.press("Alt+Enter");
    await person.keys("two");
    await person.press("Control+Enter");
    await person.keys("three");
    await person.press("Enter");
    await until("the API", () => server.column(book), ["name", "one\ntwo\nthree", "apple", "plum"]);
    await until("the focus", () => person.named(), "A3");
  },

  "Enter, Tab and both with Shift save and go their way": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("B3");
    for (const [key, next] of [["Enter", "B4"], ["Shift+Enter", "B3"], ["Tab", "C3"], ["Shift+Tab", "B3"]]) {
      await person.keys("7");
      await person.press(key);
      await until(key, () => person.named(), next);
    }
    await until("the API", () => server.row(book, 3), ["apple", "7", "7"]);
    await until("the API", () => server.row(book, 4), ["plum", "7", "TRUE"]);
  },

  "Escape leaves the cell as it was": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A2");
    await person.keys("nothing");
    await person.press("Escape");
    await until("the editor is gone", () => person.editing(), false);
    await person.shows("A2", "pear");
    await until("the formula bar", () => person.formula(), "pear");
    await person.press("ArrowDown");
    await person.keys("fig");
    await person.press("Enter");
    await until("the API", () => server.column(book), ["name", "pear", "fig", "plum"]);
  },

  "cells of several lines are copied and pasted whole": async ({ server, person }) => {
    const book = await server.seed([["one\ntwo", 'say "hi"'], ["three", "4"], ["keep", "keep"]]);
    await person.open(server, book);
    await person.press("Shift+ArrowRight", "Shift+ArrowDown", "Control+c");
    await until("the clipboard", () => person.clipboard(), '"one\ntwo"\tsay "hi"\nthree\t4');
    await person.click("D1");
    await person.press("Control+v");
    await until("the API", () => server.row(book, 1), ["one\ntwo", 'say "hi"', "", "one\ntwo", 'say "hi"']);
    await until("the API", () => server.row(book, 2), ["three", "4", "", "three", "4"]);
    await until("the API", () => server.row(book, 3), ["keep", "keep"]);
  },

  "what other programs copy is pasted into the cells that are meant": async ({ server, person }) => {
    const book = await server.seed([["keep"]]);
    await person.open(server, book);
    for (const [cell, copied] of [["B1", '"a\tb"\t"say ""x"""\r\n"c"\td\r\n'], ["B4", '"quoted" word\n"open']]) {
      await person.copyElsewhere("text/plain", copied);
      await person.click(cell);
      await person.press("Control+v");
    }
    await until("the API", () => server.row(book, 1), ["keep", "a\tb", 'say "x"']);
    await until("the API", () => server.row(book, 2), ["", '"c"', "d"]);
    await until("the API", () => server.row(book, 4), ["", '"quoted" word']);
    await until("the API", () => server.row(book, 5), ["", '"open']);
    await person.copyElsewhere("text/html", "<table><tr><td>one<br>two</td><td> 3 </td></tr></table>");
    await person.click("A7");
    await person.press("Control+v");
    await until("the API", () => server.row(book, 7), ["one\ntwo", "3"]);
  },

  "a copy has all digits, texts stay texts, and a selection is filled with it": async ({ server, person }) => {
    const book = await server.seed([["1,234.56789", "'=x", "'007"], ["a", "b", "c"]]);
    await server.edit(book, { batch: [{ repeatCell: {
      range: { sheetId: 0, startRowIndex: 0, endRowIndex: 1, startColumnIndex: 0, endColumnIndex: 1 },
      cell: { userEnteredFormat: { numberFormat: { type: "NUMBER", pattern: "0.0" } } }, fields: "userEnteredFormat" } }] });
    await person.open(server, book);
    await person.shows("A1", "1234.6");
    await person.press("Shift+ArrowRight", "Shift+ArrowRight", "Control+c");
    await person.click("D3");
    await person.press("Shift+ArrowDown", "Control+v");
    const typed = [1234.56789, "=x", "007"];
    await until("the API", async () => (await server.typed(book, 3)).slice(3), typed);
    await until("the API", async () => (await server.typed(book, 4)).slice(3), typed);
    await person.click("A2");
    await person.press("Control+x", "ArrowDown", "Control+v");
    await until("the API", () => server.column(book), ["1234.6", "", "a", ""]);
  },

  "pasting into a dialog, a field or a cell that is typed in pastes there": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.copyElsewhere("text/plain", "one\ntwo");
    await person.click("A2");
    await person.press("Shift+F2");
    await person.page.locator("dialog textarea").waitFor();
    await person.press("Control+v", "Control+Enter");
    await until("the note", () => person.cell("A2").getAttribute("data-note"), "one\ntwo");
    await person.press("F2", "Control+v", "Enter");
    await until("the API", () => server.column(book), ["name", "pearone\ntwo", "apple", "plum"]);
    await person.page.locator(".formula").click();
    await person.press("Control+a", "Control+v", "Alt+Enter");
    await person.keys("three");
    await person.press("Enter");
    await until("the API", () => server.column(book), ["name", "pearone\ntwo", "one\ntwo\nthree", "plum"]);
    await until("the focus", () => person.named(), "A4");
  },

  "the formula bar keeps line breaks, and goes on with Enter, Tab and Escape": async ({ server, person }) => {
    const book = await server.seed([["one\ntwo", "x"], ["y"]]);
    await person.open(server, book);
    await until("the formula bar", () => person.formula(), "one\ntwo");
    for (const [key, next] of [["Escape", "A1"], ["Enter", "A2"], ["Shift+Enter", "A1"], ["Tab", "B1"], ["Shift+Tab", "A1"]]) {
      await person.page.locator(".formula").click();
      await person.press("Control+End");
      await person.keys("!");
      await person.press(key);
      await until(key, () => person.named(), next);
    }
    await until("the API", () => server.row(book, 1), ["one\ntwo!!", "x!"]);
    await until("the API", () => server.row(book, 2), ["y!"]);
  },

  "keys that follow one another fast reach the cells that are meant": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    for (const word of ["a", "b", "c"]) {
      await person.press("ArrowDown");
      await person.keys(word);
      await person.press("ArrowRight");
      await person.keys("1");
      await person.press("ArrowLeft", "F2", "ArrowLeft");
      await person.keys("x");
      await person.press("Enter", "ArrowUp");
    }
    for (const [at, name] of [[2, "xa"], [3, "xb"], [4, "xc"]]) {
      await until("the API", async () => (await server.row(book, at)).slice(0, 2), [name, "1"]);
    }
    await person.press("Control+c", "ArrowRight", "ArrowRight", "ArrowRight", "Control+v");
    await until("the API", () => server.row(book, 4), ["xc", "1", "TRUE", "xc"]);
  },

  "Enter after Tab comes back to where the line began": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A5");
    for (const word of ["fig", "4", "kiwi", "5"]) {
      await person.keys(word);
      await person.press(word.length > 1 ? "Tab" : "Enter");
    }
    await until("the API", () => server.row(book, 5), ["fig", "4"]);
    await until("the API", () => server.row(book, 6), ["kiwi", "5"]);
    await until("the focus", () => person.named(), "A7");
  },

  "a cell that was opened and left as it was keeps what others wrote meanwhile": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    for (const leave of [() => person.press("Enter"), () => person.click("B4")]) {
      await person.click("A2");
      await person.press("F2");
      const before = await person.editor();
      await server.edit(book, { set: { cell: "A2", value: `${before}s` } });
      await person.shows("A2", `${before}s`);
      await leave();
      await until("the editor is gone", () => person.editing(), false);
    }
    await person.type("C4", "last");
    await until("the API", async () => (await server.row(book, 4))[2], "last");
    await until("the API", async () => (await server.row(book, 2))[0], "pearss");
  },

  "what was typed is saved by a press elsewhere": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A2");
    await person.keys("fig");
    await person.cell("B4").click();
    await person.keys("9");
    await person.press("Enter");
    await until("the API", async () => (await server.row(book, 2))[0], "fig");
    await until("the API", async () => (await server.row(book, 4))[1], "9");
  },

  "Ctrl with arrows goes to the edge of the data, with Shift it selects": async ({ server, person }) => {
    const rows = Array.from({ length: 12_000 }, (_, i) => [i === 2 || i === 7000 ? null : `r${i + 1}`, "x"]);
    const book = await server.seed([...rows.slice(0, 5), ...Array(5).fill([]), ...rows.slice(5)], { rowCount: 12_200 });
    await person.open(server, book);
    const goes = async (key, to) => {
      await person.press(`Control+${key}`);
      await until(key, () => person.named(), to);
    };
    for (const to of ["A2", "A4", "A5", "A11", "A7005", "A7007", "A12005", "A12200"]) await goes("ArrowDown", to);
    for (const to of ["A12005", "A7007", "A7005", "A11"]) await goes("ArrowUp", to);
    await goes("ArrowRight", "B11");
    await goes("ArrowRight", "Z11");
    await goes("ArrowLeft", "B11");
    await goes("Shift+ArrowUp", "B5:B11");
    await goes("Shift+ArrowLeft", "A5:B11");
    await person.press("Shift+ArrowDown");
    await until("Shift", () => person.named(), "A6:B11");
    await goes("Shift+ArrowDown", "A11:B11");
  },

  "Ctrl+D fills down, formulas too": async ({ server, person }) => {
    const book = await server.seed([["a", "=LEN(A1)"], ["bb", "x"], ["ccc", "y"], ["dddd"]], { rowCount: 4 });
    await person.open(server, book);
    await person.click("B1");
    await person.press("Shift+ArrowDown", "Shift+ArrowDown", "Control+d");
    await until("the API", () => server.row(book, 3), ["ccc", "3"]);
    await until("the API", () => server.row(book, 2), ["bb", "2"]);
    await until("the selection stays", () => person.named(), "B1:B3");
    await person.click("B4");
    await person.press("Control+d", "ArrowLeft", "ArrowDown", "Control+d");
    await until("the API", () => server.row(book, 4), ["dddd", "4"]);
    await until("the API", () => server.row(book, 5), ["dddd"]);
  },

  "Ctrl+F finds cells in the whole tab, one after the other": async ({ server, person }) => {
    const rows = Array.from({ length: 1000 }, (_, i) => [i === 900 ? "Pineapple" : `r${i}`, i === 4 ? "apple pie" : "x"]);
    const book = await server.seed([["head"], ...rows, ["an APPLE"]]);
    await person.open(server, book);
    const count = () => person.page.locator(".find .count").textContent();
    await person.press("Control+f");
    await person.keys("apple");
    await until("the first", () => person.named(), "B6");
    await until("the count", count, "1 of 3");
    for (const [key, name] of [["Enter", "A902"], ["Enter", "A1002"], ["Enter", "B6"], ["Shift+Enter", "A1002"], ["Shift+Enter", "A902"]]) {
      await person.press(key);
      await until(key, () => person.named(), name);
    }
    await until("the count", count, "2 of 3");
    await person.shows("A902", "Pineapple");
    await server.edit(book, { set: { cell: "A902", value: "pear" } });
    await person.shows("A902", "pear");
    await person.press("Enter");
    await until("the count", count, "2 of 2");
    await person.press("Control+a");
    await person.keys("nowhere");
    await until("the count", count, "Nothing found");
    await person.press("Escape");
    await until("the bar is gone", () => person.page.locator(".find").isVisible(), false);
    await person.keys("found");
    await person.press("Enter");
    await until("the API", () => server.row(book, 1002), ["found"]);
  },

  "undo and redo go through what this person did, and leave what others did": async ({ server, person }) => {
    const book = await server.seed(LIST);
    const program = (cell, value) =>
      server.api(`${book}/values/list!${cell}?valueInputOption=RAW`, { values: [[value]] }, "PUT");
    const column = (...names) => until("the API", () => server.column(book), ["name", ...names]);
    await person.open(server, book);
    await person.type("A2", "cherry");
    await person.keys("fig");
    await person.press("Enter", "ArrowUp", "Delete", "ArrowDown");
    await column("cherry", "", "plum");
    await program("A4", "quince");
    await person.shows("A4", "quince");
    await person.press("Control+z");
    await column("cherry", "fig", "quince");
    await until("what came back is selected", () => person.named(), "A3");
    await person.press("Control+z", "Control+z");
    await column("pear", "apple", "quince");
    await person.press("Control+y", "Control+Shift+z");
    await column("cherry", "fig", "quince");
    await person.shows("A3", "fig");
    await program("A3", "lime");
    await person.press("Control+z");
    const toast = (text) => until("the message", () => person.page.locator(".toast").allTextContents(), [text]);
    await toast("Others have changed these cells since: they stay as they are");
    await column("cherry", "lime", "quince");
    await person.press("Control+z");
    await column("pear", "lime", "quince");
    await until("own changes are not marked", () => person.wasMarked("A2"), false);
    await person.press("Control+z");
    await toast("There is nothing to undo");
  },

  "undo brings deleted rows back where others have written since": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.click("A3");
    await person.press("Control+Alt+-");
    await until("the API", () => server.column(book), ["name", "pear", "plum"]);
    await server.edit(book, { set: { cell: "A3", value: "quince" } });
    await server.edit(book, { insert_rows: { at: 2, values: [["kiwi"]] } });
    await person.shows("A4", "quince");
    await person.press("Control+z");
    await until("the API", () => server.column(book), ["name", "kiwi", "pear", "apple", "quince"]);
    await until("the API", () => server.row(book, 4), ["apple", "1", "FALSE"]);
    await person.tool("redo");
    await until("the API", () => server.column(book), ["name", "kiwi", "pear", "quince"]);
  },

  "an edit that is typed at once after undo goes into the right cell": async ({ server, person }) => {
    const book = await server.seed(LIST);
    await person.open(server, book);
    await person.type("A2", "cherry");
    await person.press("Control+z", "ArrowDown");
    await person.keys("fig");
    await person.press("Enter");
    await until("the API", () => server.column(book), ["name", "pear", "fig", "plum"]);
  },
};
