// Runs every case in a page of its own: node run.mjs URL KEY.json [WORDS OF A CASE'S NAME]

import { readFileSync } from "node:fs";
import { browser, PATIENCE_MS, Person, Server } from "./harness.mjs";
import { cases as editing } from "./editing.mjs";
import { cases as following } from "./following.mjs";
import { cases as keys } from "./keys.mjs";
import { cases as large } from "./large.mjs";

const [url, key, only = ""] = process.argv.slice(2);
const server = new Server(url, JSON.parse(readFileSync(key, "utf8")));
const chromium = await browser();
let [passed, failed] = [0, 0];
for (const [name, run] of Object.entries({ ...editing, ...keys, ...following, ...large })) {
  if (!name.includes(only)) continue;
  const context = await chromium.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const broken = [];
  page.on("pageerror", (error) => broken.push(error.stack));
  try {
    await run({ server, person: new Person(page), say: (line) => console.log(line) });
    if (broken.length > 0) throw new Error(`the page threw ${broken.join("\n")}`);
    passed++;
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}\n  ${error.message}`);
  }
  await context.close();
}
await chromium.close();
console.log(`page: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
