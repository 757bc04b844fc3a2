// A picture of the page with the world's countries (Debian's iso-codes): node screenshot.mjs URL KEY.json PICTURE.png

import { readFileSync } from "node:fs";
import { browser, Person, Server } from "./harness.mjs";

const [url, key, picture] = process.argv.slice(2);
const server = new Server(url, JSON.parse(readFileSync(key, "utf8")));
const countries = JSON.parse(readFileSync("/usr/share/iso-codes/json/iso_3166-1.json", "utf8"))["3166-1"];
const header = ["code", "code3", "numeric", "name", "official name", "flag", "visited"];
const visited = new Set(["AR", "AT", "AD", "BE", "BR", "BG", "AL"]);
const rows = countries
  .toSorted((a, b) => (a.alpha_2 < b.alpha_2 ? -1 : 1))
  .map((c) => [c.alpha_2, c.alpha_3, Number(c.numeric), c.name, c.official_name ?? "", c.flag, visited.has(c.alpha_2)]);
const seeded = await server.call("/_sheetd/spreadsheets", {
  title: "World",
  sheets: [{ title: "countries", rows: [header, ...rows] }, { title: "currencies" }, { title: "languages" }],
});
const book = seeded.spreadsheetId;
await server.edit(book, { note: { cell: "E7", note: "Checked against ISO 3166-1" } }, "countries");

const properties = { sheetId: 0, gridProperties: { frozenRowCount: 1 } };
const freeze = { updateSheetProperties: { properties, fields: "gridProperties.frozenRowCount" } };
await server.api(`${book}:batchUpdate`, { requests: [freeze] }, "POST");

const chromium = await browser();
const page = await chromium.newPage({ viewport: { width: 1160, height: 660 }, deviceScaleFactor: 1.5 });
const person = new Person(page);
await person.open(server, book, "countries");
await person.cell("D9", 1).click();
await page.waitForTimeout(500);
await server.edit(book, { set: { cell: "D13", value: "Österreich" } }, "countries");
await server.edit(book, { set: { cell: "G15", value: true } }, "countries");
await person.shows("D13", "Österreich", 1);
await person.cell("E7", 1).hover();
await page.waitForTimeout(300);
await page.screenshot({ path: picture });
await chromium.close();
