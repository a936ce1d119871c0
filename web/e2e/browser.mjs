// A Chromium that talks to nobody but the page's server.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome-stable", "/usr/bin/google-chrome"];

/** CHROMIUM names one; else a usual place. @returns {string} */
export function chromiumPath() {
  const path = process.env["CHROMIUM"] || places.find((p) => existsSync(p));
  if (!path || !existsSync(path)) throw new Error("there is no Chromium; set CHROMIUM to one (Debian: apt-get install --no-install-recommends chromium)");
  return path;
}

export function launch() {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: [
      "--no-sandbox", // it runs as root in CI; it opens loopback alone
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-domain-reliability",
      "--disable-sync",
      "--no-first-run",
      "--no-default-browser-check",
    ],
  });
}

/** Waits until the drawn charts stand still. @param {import("playwright-core").Page} page */
export async function settled(page) {
  await page.waitForFunction(() => {
    const charts = [...document.querySelectorAll(".chart")];
    return charts.every((c) => c.querySelector("svg path, svg text")) && document.getAnimations().every((a) => a.playState !== "running");
  });
}
