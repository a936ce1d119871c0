// The page flow: `npm run e2e`, or with --mock against the mock server.
//
// PURSER_BIN names the program (default ../bin/purser), CHROMIUM the browser, and
// PURSER_SHOTS a folder for pictures of what was seen.

import { mkdirSync } from "node:fs";
import { launch } from "./browser.mjs";
import * as market from "./market.mjs";
import { must, Report } from "./report.mjs";
import { start } from "./server.mjs";
import * as steps from "./steps.mjs";
import { Watch } from "./watch.mjs";

const limitMs = 120_000;
const mock = process.argv.includes("--mock");
const shots = process.env["PURSER_SHOTS"];
const report = new Report();

/** @type {import("./server.mjs").Server | undefined} */
let server;
/** @type {import("playwright-core").Browser | undefined} */
let browser;

async function end() {
  await browser?.close();
  server?.remove();
}

setTimeout(() => {
  report.failed++;
  console.log(`not ok - the flow took longer than ${limitMs / 1000} s`);
  report.close();
  void end().finally(() => process.exit(1));
}, limitMs).unref();

/** @param {import("playwright-core").Page} page @param {string} name */
async function picture(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

async function flow() {
  await report.check(mock ? "the mock server starts" : "purser serve starts, plans, and its first tasks run", async () => {
    server = await start(mock);
  });
  if (!server) return;
  const s = server;
  browser = await launch();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light", reducedMotion: "reduce" });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const watch = new Watch();
  await watch.on(page, new URL(s.link).origin);

  if (!(await report.check("the link signs in", () => steps.signInByLink(page, s)))) return;
  await report.check("the page is live", () => steps.isLive(page));
  await report.check("the jobs are listed and run", () => steps.jobsAreListed(page, s));
  await report.check("money says rehearsal", () => steps.moneyIsRehearsed(page));
  await report.check("the plan tells its price and its proof", () => steps.planIsProven(page));
  await report.check("machines are drawn with their jobs", () => steps.machinesHoldJobs(page, s));
  await report.check("tables show what the drawings show", () => steps.tablesMatch(page));
  await report.check("tips appear under the pointer", () => steps.tipsAppear(page));
  await picture(page, "tip");
  await report.check("prices tell their age and source", () => steps.pricesHaveAges(page));
  await report.check("no fault of accessibility in light colours", () => steps.accessibleIn(page, "light"));
  await picture(page, "overview-light-1280");
  await report.check("an accelerator's offers are shown, cheapest first", () => market.acceleratorIsChosen(page));
  await report.check("the cheapest over time is drawn, and stands in a table", () => market.cheapestIsDrawn(page));
  await picture(page, "market-light-1280");
  await report.check("prices of another day are marked", () => market.anotherDayIsMarked(page));
  await report.check("an offer opens by keyboard, with its history", () => market.offerOpens(page));
  await report.check("a source is collected when asked for", () => market.sourceIsCollected(page));
  await report.check("an offer is blocked, and the rule ended", () => market.offerIsBlocked(page));
  await report.check("a job submitted elsewhere appears by itself", () => steps.newsComesByItself(page, s));
  await report.check("a job opens by keyboard, with tasks and log", () => steps.jobOpens(page, s));
  await report.check("a job is cancelled", () => steps.jobIsCancelled(page));
  await report.check("no fault of accessibility in dark colours", () => steps.accessibleIn(page, "dark"));
  await picture(page, "overview-dark-1280");
  await report.check("the theme is kept", () => steps.themeIsKept(page));
  await report.check("it fits a phone", () => steps.fitsAPhone(page));
  await picture(page, "overview-dark-390");
  await page.setViewportSize({ width: 1280, height: 900 });
  await report.check("no error, no breach of the security policy, no call elsewhere", async () => {
    must(watch.faults.length === 0, watch.faults.join("\n"));
  });

  // The page tells of them too; whose fault they are is not the page's to say.
  for (const line of s.complaints()) console.log(`# the server's log: ${line}`);

  watch.lenient = true;
  watch.faults.length = 0;
  await report.check("signing out and in again", () => steps.signsOutAndIn(page, s));
  await picture(page, "after-sign-in");
  await report.check("the server stops cleanly", async () => {
    const code = await s.stop();
    must(code === 0, `its exit code is ${code}`);
  });
  await report.check("the page tells that the server is gone", () => steps.lossIsTold(page));
  await report.check("still no breach, no uncaught error", async () => {
    must(watch.faults.length === 0, watch.faults.join("\n"));
  });
}

try {
  await flow();
} catch (error) {
  report.failed++;
  console.log(`not ok - ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await end();
  report.close();
}
process.exitCode = report.failed > 0 ? 1 : 0;
