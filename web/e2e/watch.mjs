// What a page does that nobody should have to look for: errors in its console,
// breaches of its security policy, calls to other hosts, faults of accessibility.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** @typedef {import("playwright-core").Page} Page */

export class Watch {
  /** @type {string[]} */
  faults = [];
  /** Failed calls are expected, as when the flow signs out or stops the server. */
  lenient = false;

  /** @param {Page} page @param {string} origin */
  async on(page, origin) {
    await page.exposeFunction("reportBreach", (/** @type {string} */ text) => this.faults.push(`content security policy: ${text}`));
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (e) => {
        /** @type {any} */ (window).reportBreach(`${e.violatedDirective} refuses ${e.blockedURI} ${e.sample}`);
      });
      // Counts what the event stream brings, without taking part in it.
      const real = window.EventSource;
      /** @type {any} */ (window).streamed = [];
      window.EventSource = class extends real {
        /** @param {string | URL} url @param {EventSourceInit} [init] */
        constructor(url, init) {
          super(url, init);
          this.addEventListener("message", (e) => /** @type {any} */ (window).streamed.push(JSON.parse(e.data)));
        }
      };
    });
    // As an init script it needs no exception from the policy.
    await page.addInitScript({ content: axeSource });
    page.on("console", (m) => {
      if (m.type() !== "error" && m.type() !== "warning") return;
      if (this.lenient && /Failed to load resource|net::ERR/.test(m.text())) return;
      this.faults.push(`console: ${m.text()}`);
    });
    page.on("pageerror", (e) => this.faults.push(`uncaught: ${e.message}`));
    page.on("request", (r) => {
      if (!r.url().startsWith(origin) && !r.url().startsWith("data:")) this.faults.push(`a call to ${r.url()}`);
    });
  }
}

/** What axe finds on the page, one line a finding. @param {Page} page @returns {Promise<string[]>} */
export async function axe(page) {
  return page.evaluate(async () => {
    const result = await /** @type {any} */ (window).axe.run(document, { resultTypes: ["violations"] });
    return result.violations.flatMap((/** @type {any} */ v) => v.nodes.map((/** @type {any} */ n) => `${v.id}: ${n.target.join(" ")}: ${n.failureSummary.split("\n")[1] ?? ""}`));
  });
}
