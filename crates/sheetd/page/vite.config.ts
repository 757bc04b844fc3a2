import { defineConfig } from "vite";

export default defineConfig({
  build: { target: "es2022", modulePreload: { polyfill: false } },
  // For work on the page itself: `npm run dev` beside a sheetd on this address.
  server: { proxy: { "/_sheetd": process.env["SHEETD"] ?? "http://127.0.0.1:8484" } },
});
