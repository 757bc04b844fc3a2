// 50,000 rows: opened, scrolled to the end, edited there; the times are printed.

import { until } from "./harness.mjs";

const ROWS = 50_000;

async function timed(what, times, act) {
  const start = performance.now();
  await act();
  times.push(`${what} ${Math.round(performance.now() - start)} ms`);
}

export const cases = {
  "50,000 rows are opened, scrolled through and edited": async ({ server, person, say }) => {
    const rows = Array.from({ length: ROWS }, (_, i) => [i + 1, `row ${i + 1}`, i * 1.5, i % 2 === 0, "2026-01-15", `note ${i % 7}`]);
    const book = await server.seed(rows, { rowCount: ROWS + 10 });
    const times = [];
    await timed("open", times, () => person.open(server, book));
    await timed("to the last row", times, async () => {
      await person.page.keyboard.press("Control+End");
      await person.shows(`A${ROWS}`, String(ROWS));
    });
    await timed("edit there, until the API has it", times, async () => {
      await person.type(`B${ROWS}`, "the end");
      await until("the API", async () => (await server.row(book, ROWS))[1], "the end");
    });
    await timed("another's change there, until it is shown", times, async () => {
      await server.edit(book, { set: { cell: `C${ROWS}`, value: 42 } });
      await person.shows(`C${ROWS}`, "42");
    });
    await timed("insert a row at the top, until the end has moved", times, async () => {
      await server.edit(book, { insert_rows: { at: 1, count: 1 } });
      await person.shows(`A${ROWS + 1}`, String(ROWS));
    });
    await timed("a new row below all others", times, async () => {
      await person.type(`A${ROWS + 2}`, "new");
      await until("the API", async () => (await server.row(book, ROWS + 2))[0], "new");
      await until("the focus went on", () => person.named(), `A${ROWS + 3}`);
    });
    await timed("to row 25,000 by name", times, async () => {
      await person.page.locator(".name").fill("B25000");
      await person.page.keyboard.press("Enter");
      await person.shows("B25000", "row 24999");
    });
    const frames = await person.page.evaluate(scrollThrough);
    times.push(`${frames.count} wheel steps, the slowest frame ${Math.round(frames.slowest)} ms`);
    const heap = await person.page.evaluate(() => performance.memory.usedJSHeapSize);
    times.push(`${Math.round(heap / 1048576)} MB of JavaScript heap`);
    say(`50,000 rows: ${times.join("; ")}`);
  },
};

/** In the page: scrolls 300 pixels in each of 60 frames, and measures the frames. */
async function scrollThrough() {
  const view = document.querySelector("revogr-viewport-scroll.rgCol .vertical-inner");
  const frame = () => new Promise(requestAnimationFrame);
  let last = await frame();
  let slowest = 0;
  for (let i = 0; i < 60; i++) {
    view.scrollTop += 300;
    const now = await frame();
    slowest = Math.max(slowest, now - last);
    last = now;
  }
  return { count: 60, slowest };
}
