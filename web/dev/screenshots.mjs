// Takes pictures of the page with the mock server's figures, in both themes and
// two widths, for eyes to look at: `npm run screenshots -- FOLDER [SCENARIO…]`.

import { mkdirSync } from "node:fs";
import { launch, settled } from "../e2e/browser.mjs";
import { Mock } from "./mock.mjs";

const [folder = "screenshots", ...asked] = process.argv.slice(2);
const scenarios = asked.length > 0 ? asked : ["realistic", "empty", "crowd"];
mkdirSync(folder, { recursive: true });

/** The market with an accelerator chosen, an offer, and a question. @param {import("playwright-core").Page} page @param {string} name */
async function market(page, name) {
  await page.getByLabel("Accelerator", { exact: true }).selectOption("H100");
  await page.getByLabel("As of").fill(new Date(Date.now() - 30 * 86_400_000).toISOString().slice(0, 10));
  await page.locator(".over-time .chart").waitFor();
  await settled(page);
  await page.locator(".prices").screenshot({ path: `${folder}/market-${name}.png` });
  await page.getByRole("button", { name: "Back to now" }).click();
  await page.locator(".prices tbody th button").first().click();
  await page.locator(".drawer .chart").waitFor();
  await settled(page);
  await page.screenshot({ path: `${folder}/offer-${name}.png` });
  await page.locator(".drawer .drawer-action button").click();
  await page.locator(".ask").waitFor();
  await page.screenshot({ path: `${folder}/ask-${name}.png` });
}

const browser = await launch();
try {
  for (const scenario of scenarios) {
    for (const theme of /** @type {const} */ (["light", "dark"])) {
      for (const width of [1280, 390]) {
        const mock = new Mock({ scenario });
        const address = await mock.listen(0);
        const context = await browser.newContext({ viewport: { width, height: width > 600 ? 900 : 844 }, colorScheme: theme, reducedMotion: "reduce" });
        const page = await context.newPage();
        page.on("console", (m) => m.type() === "error" && console.error(`${scenario} ${theme} ${width}: ${m.text()}`));
        page.on("pageerror", (e) => console.error(`${scenario} ${theme} ${width}: ${e.message}`));
        await page.goto(`${address}/#signin=${mock.code}`);
        await page.getByRole("heading", { name: "Market" }).waitFor();
        await settled(page);
        await page.screenshot({ path: `${folder}/${scenario}-${theme}-${width}.png`, fullPage: true });
        if (scenario === "realistic") {
          await page.getByRole("button", { name: "finetune", exact: true }).first().click();
          await page.locator(".log-line").first().waitFor();
          await page.screenshot({ path: `${folder}/drawer-${theme}-${width}.png` });
          await page.keyboard.press("Escape");
          await page.getByRole("button", { name: "Table" }).first().click();
          await page.locator(".plan").screenshot({ path: `${folder}/machines-table-${theme}-${width}.png` });
          await market(page, `${theme}-${width}`);
        }
        await context.close();
        mock.close();
      }
    }
  }
} finally {
  await browser.close();
}
console.log(`pictures are in ${folder}`);
