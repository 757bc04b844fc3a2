// A browser on the page, the control endpoints, and the Sheets API as a program would use it.

import { createSign } from "node:crypto";
import { createRequire } from "node:module";
import net from "node:net";

const require = createRequire(new URL("../../page/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** How long something that must happen may take. Generous: a slow machine is no failure. */
export const PATIENCE_MS = 120_000;

export async function browser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** Waits until a reading is as expected; the last one is told if it never is. */
export async function until(what, read, wanted) {
  const end = Date.now() + PATIENCE_MS;
  const right = typeof wanted === "function" ? wanted : (value) => JSON.stringify(value) === JSON.stringify(wanted);
  for (;;) {
    const value = await read();
    if (right(value)) return value;
    if (Date.now() > end) throw new Error(`${what}: it is ${JSON.stringify(value)}, not ${JSON.stringify(wanted) ?? wanted}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

export class Server {
  constructor(url, key) {
    this.url = url;
    this.key = key;
  }

  async call(path, body, headers = {}) {
    const init = body && { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } };
    const response = await fetch(this.url + path, init ?? { headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** A new spreadsheet with one tab called `list`; gives its id. */
  async seed(rows, more = {}) {
    const seeded = await this.call("/_sheetd/spreadsheets", { title: "Test", sheets: [{ title: "list", rows, ...more }] });
    return seeded.spreadsheetId;
  }

  /** What a row holds, as the API shows it. */
  async row(book, row, tab = "list") {
    const window = await this.call(`/_sheetd/spreadsheets/${book}/sheets/${tab}/values?start=${row - 1}&end=${row}`);
    return window.formatted[0] ?? [];
  }

  /** What a row holds, as it was typed. */
  async typed(book, row, tab = "list") {
    const window = await this.call(`/_sheetd/spreadsheets/${book}/sheets/${tab}/values?start=${row - 1}&end=${row}`);
    return window.unformatted[0] ?? [];
  }

  async column(book, tab = "list") {
    const window = await this.call(`/_sheetd/spreadsheets/${book}/sheets/${tab}/values`);
    return window.formatted.map((row) => row[0] ?? "");
  }

  async titles(book) {
    const { spreadsheets } = await this.call("/_sheetd/spreadsheets");
    return spreadsheets.find((found) => found.spreadsheetId === book).sheets.map((tab) => tab.title);
  }

  /** A person elsewhere. */
  edit(book, edit, sheet = "list") {
    return this.call("/_sheetd/edit", { spreadsheetId: book, sheet, edit });
  }

  /** A program, with the key file of a service account. */
  async api(path, body, method) {
    this.token ??= await this.exchange();
    const headers = { Authorization: `Bearer ${this.token}`, "Content-Type": "application/json" };
    const response = await fetch(`${this.url}/v4/spreadsheets/${path}`, { method, headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async exchange() {
    const now = Math.floor(Date.now() / 1000);
    const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const claims = {
      iss: this.key.client_email,
      scope: "https://www.googleapis.com/auth/spreadsheets",
      aud: this.key.token_uri,
      iat: now,
      exp: now + 3600,
    };
    const signed = `${encode({ alg: "RS256", typ: "JWT" })}.${encode(claims)}`;
    const signature = createSign("RSA-SHA256").update(signed).sign(this.key.private_key, "base64url");
    const form = { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: `${signed}.${signature}` };
    const response = await fetch(this.key.token_uri, { method: "POST", body: new URLSearchParams(form) });
    return (await response.json()).access_token;
  }
}

/** A line to the server that can be cut. */
export class Line {
  constructor(to) {
    this.port = Number(new URL(to).port);
    this.sockets = new Set();
  }

  get url() {
    return `http://127.0.0.1:${this.at}`;
  }

  async up() {
    this.listener = net.createServer((near) => {
      const far = net.connect(this.port, "127.0.0.1");
      for (const [socket, other] of [[near, far], [far, near]]) {
        this.sockets.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => this.sockets.delete(socket));
      }
      near.pipe(far).pipe(near);
    });
    await new Promise((listening) => this.listener.listen(this.at ?? 0, "127.0.0.1", listening));
    this.at = this.listener.address().port;
  }

  down() {
    this.listener.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** In the page: notes each cell that is marked, however soon the mark fades. */
function noteMarks() {
  window.marked = new Set();
  const note = (node) => {
    if (!(node instanceof Element)) return;
    for (const cell of [node, ...node.querySelectorAll(".rgCell")]) {
      if (!/\bchanged-[12]\b/.test(cell.getAttribute("class") ?? "")) continue;
      const type = cell.closest("revogr-data")?.getAttribute("type");
      window.marked.add([type, cell.dataset.rgrow, cell.dataset.rgcol].join());
    }
  };
  const seen = (records) => {
    for (const { target, addedNodes } of records) [target, ...addedNodes].forEach(note);
  };
  const options = { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] };
  new MutationObserver(seen).observe(document, options);
}

/** The part of the grid that a cell is in, and its row and column there. */
function place(name, frozen) {
  const [, letter, number] = /^([A-Z])(\d+)$/.exec(name);
  const [row, column] = [Number(number) - 1, letter.charCodeAt(0) - 65];
  return row < frozen ? ["rowPinStart", row, column] : ["rgRow", row - frozen, column];
}

/** The page, as a person sees and uses it. Rows count from 1, columns are letters. */
export class Person {
  constructor(page) {
    this.page = page;
  }

  async open(server, book, tab = "list") {
    await this.page.addInitScript(noteMarks);
    await this.page.goto("about:blank");
    await this.page.goto(`${server.url}/#/${book}/${tab}`);
    await this.page.locator(".rgCell").first().waitFor();
    await until("the first cell has the focus", () => this.named(), "A1");
  }

  cell(name, frozen = 0) {
    const [type, at, column] = place(name, frozen);
    return this.page.locator(`revogr-data[type="${type}"][col-type="rgCol"] .rgCell[data-rgrow="${at}"][data-rgcol="${column}"]`);
  }

  async shows(name, text, frozen) {
    await until(`cell ${name}`, () => this.cell(name, frozen).textContent(), text);
  }

  async click(name) {
    await this.cell(name).click();
    await until(`${name} has the focus`, () => this.named(), name);
  }

  async type(name, text, key = "Enter") {
    await this.click(name);
    await this.page.keyboard.type(text);
    await this.page.keyboard.press(key);
  }

  /** Presses keys one after the other, without waiting for what they do. */
  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  async keys(text) {
    await this.page.keyboard.type(text);
  }

  editing() {
    return this.page.locator("revogr-edit").isVisible();
  }

  /** What stands in the field in the cell. */
  editor() {
    return this.page.locator("revogr-edit textarea").inputValue();
  }

  clipboard() {
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  /** Another program fills the clipboard. */
  copyElsewhere(type, text) {
    const write = ([type, text]) => navigator.clipboard.write([new ClipboardItem({ [type]: new Blob([text], { type }) })]);
    return this.page.evaluate(write, [type, text]);
  }

  /** What the name box says. */
  named() {
    return this.page.locator(".name").inputValue();
  }

  formula() {
    return this.page.locator(".formula").inputValue();
  }

  /** Whether the cell has been marked since the page was opened; how long a mark stays is no matter. */
  wasMarked(name, frozen = 0) {
    return this.page.evaluate((at) => window.marked.has(at), place(name, frozen).join());
  }

  async marked(name, frozen) {
    return /changed-[12]/.test((await this.cell(name, frozen).getAttribute("class")) ?? "");
  }

  tool(command) {
    return this.page.locator(`.toolbar [data-command="${command}"]`).click();
  }

  async menu(name, label) {
    await this.cell(name).click({ button: "right" });
    await this.page.getByRole("menuitem", { name: label }).click();
  }

  tabs() {
    return this.page.locator(".tabs a").allTextContents();
  }
}
