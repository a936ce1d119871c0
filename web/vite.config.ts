import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const dist = fileURLToPath(new URL("./dist/", import.meta.url));

export default defineConfig({
  plugins: [
    react(),
    {
      // dist keeps its README, which lets the Go package compile without Node; so
      // what an earlier build left is removed by name.
      name: "empty-dist-but-its-readme",
      apply: "build",
      buildStart() {
        for (const old of ["assets", "index.html", "favicon.svg", "licenses.md"]) {
          rmSync(dist + old, { recursive: true, force: true });
        }
      },
    },
  ],
  build: {
    emptyOutDir: false,
    target: "es2022",
    // The server lets the page load files and nothing inline.
    assetsInlineLimit: 0,
    // What the licences of the bundled libraries ask for goes along.
    license: { fileName: "licenses.md" },
    modulePreload: { polyfill: false },
    // The chart library is one lazy chunk of about 600 kB.
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8788" } },
  test: { include: ["test/**/*.test.{ts,tsx}"], environment: "node" },
});
