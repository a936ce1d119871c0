// Takes pictures of the page with the mock server's figures, in both themes and
// two widths, for eyes to look at: `npm run screenshots -- FOLDER [SCENARIO…]`.

import { mkdirSync } from "node:fs";
import { launch, settled } from "../e2e/browser.mjs";
import { Mock } from "./mock.mjs";

const [folder = "screenshots", ...asked] = process.argv.slice(2);
const scenarios = asked.length > 0 ? asked : ["realistic", "empty", "crowd"];
mkdirSync(folder, { recursive: true });

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
        await page.getByRole("heading", { name: "Newest prices" }).waitFor();
        await settled(page);
        await page.screenshot({ path: `${folder}/${scenario}-${theme}-${width}.png`, fullPage: true });
        if (scenario === "realistic") {
          await page.getByRole("button", { name: "finetune", exact: true }).first().click();
          await page.locator(".log-line").first().waitFor();
          await page.screenshot({ path: `${folder}/drawer-${theme}-${width}.png` });
          await page.keyboard.press("Escape");
          await page.getByRole("button", { name: "Table" }).first().click();
          await page.locator(".plan").screenshot({ path: `${folder}/machines-table-${theme}-${width}.png` });
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
