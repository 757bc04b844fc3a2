import { defineConfig, loadEnv } from "vite";

export default defineConfig(({ mode }) => ({
  build: { target: "es2022", modulePreload: { polyfill: false } },
  // For work on the page itself: `SHEETD=http://127.0.0.1:PORT npm run dev`, beside a running sheetd.
  server: { proxy: { "/_sheetd": loadEnv(mode, ".", "SHEETD")["SHEETD"] ?? "http://127.0.0.1:8484" } },
}));
