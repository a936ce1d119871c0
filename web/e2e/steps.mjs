// The steps of the flow, in the order in which a person takes them.

import { settled } from "./browser.mjs";
import { must, until } from "./report.mjs";
import { axe } from "./watch.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("./server.mjs").Server} Server */

/** @param {Page} page @param {Server} server */
export async function signInByLink(page, server) {
  await page.goto(server.link);
  await page.getByRole("heading", { name: "What runs where" }).waitFor({ timeout: 15_000 });
  must(!page.url().includes("signin"), `the code is still in the address: ${page.url()}`);
}

/** @param {Page} page */
export async function isLive(page) {
  await page.getByRole("status").filter({ hasText: /^Live$/ }).waitFor({ timeout: 10_000 });
}

/** @param {Page} page */
export async function moneyIsRehearsed(page) {
  await page.getByText("Rehearsal: nothing is bought. Figures are what it would have cost.").waitFor();
  const figures = page.locator(".figure");
  must((await figures.count()) === 4, `there are ${await figures.count()} figures of money, not 4`);
  for (const text of await figures.allInnerTexts()) must(text.includes("Rehearsal"), `a figure does not say rehearsal: ${text}`);
  const rate = await figures.first().locator(".figure-value").innerText();
  must(Number(rate.replace(/[^0-9.]/g, "")) > 0, `the spend rate is ${rate} while machines run`);
  const month = await figures.nth(2).innerText();
  must(/if .*/.test(month), `the projection does not state its assumption: ${month}`);
  const cost = page.locator(".jobs thead th", { hasText: "Cost" });
  must((await cost.innerText()).includes("Rehearsal"), "the jobs' cost does not say rehearsal");
}

/** @param {Page} page */
export async function planIsProven(page) {
  const words = await page.locator(".words").innerText();
  must(/replicas? on \d+ machines? for \$[\d.,]+\/h/.test(words), `the plan's words lack its price: ${words}`);
  must(/Proven (to be the cheapest|within [\d.]+.% of the cheapest)/.test(words), `the plan's words lack its proof: ${words}`);
}

/** @param {Page} page @param {Server} server */
export async function machinesHoldJobs(page, server) {
  const bars = page.locator("svg.bar");
  await bars.first().waitFor();
  const said = await bars.evaluateAll((all) => all.map((b) => b.getAttribute("aria-label") ?? ""));
  must(said.some((s) => s.includes(server.service)), `no machine holds ${server.service}: ${said.join("; ")}`);
  const width = (/** @type {number} */ i) => bars.nth(i).evaluate((b) => b.getBoundingClientRect().width);
  for (let i = 0; i < said.length; i++) must((await width(i)) > 1, `a machine is drawn without width: ${said[i]}`);
}

/** @param {Page} page @param {Server} server */
export async function jobsAreListed(page, server) {
  for (const name of server.jobs) await page.locator(".jobs tbody").getByRole("button", { name, exact: true }).waitFor();
  await until(`a replica of ${server.service} runs`, 30_000, async () => {
    const row = page.locator(".jobs tbody tr", { has: page.getByRole("button", { name: server.service, exact: true }) });
    const [running] = (await row.locator("td").nth(2).innerText()).split("/");
    return Number(running) > 0;
  });
}

/** @param {Page} page */
export async function tablesMatch(page) {
  const bars = await page.locator("svg.bar").count();
  const panel = page.locator(".plan");
  await panel.getByRole("button", { name: "Table" }).click();
  const rows = await panel.locator("tbody tr").count();
  must(rows >= bars && rows > 0, `the table has ${rows} machines, the drawing ${bars}`);
  const found = await axe(page);
  must(found.length === 0, found.join("\n"));
  await panel.getByRole("button", { name: "Drawing" }).click();
  await panel.locator("svg.bar").first().waitFor();
  const spend = page.locator(".spend");
  await spend.getByRole("button", { name: "Table" }).click();
  must((await spend.locator("tbody tr").count()) > 0, "the table of spend is empty");
  await spend.getByRole("button", { name: "Chart" }).click();
}

/** Tips of the charts are drawn by a library: that they come without a breach of the policy shows only when they come. @param {Page} page */
export async function tipsAppear(page) {
  await page.locator(".block").first().hover();
  await page.locator(".tip").waitFor();
  await page.locator("h2", { hasText: "Jobs" }).hover();
  await page.locator(".tip").waitFor({ state: "detached" });
  const spend = page.locator(".spend .chart");
  const texts = () => spend.locator("svg text").count();
  const before = await texts();
  await spend.hover({ position: { x: 160, y: 14 } });
  await until("the tip of the spend chart", 5_000, async () => (await texts()) > before);
}

/** @param {Page} page */
export async function pricesHaveAges(page) {
  const prices = page.locator(".prices-table tbody td .cell-more");
  must((await prices.count()) > 5, `only ${await prices.count()} prices are shown`);
  for (const text of await prices.allInnerTexts()) must(/(list of \d+ \w+ \d{4}|seen (just now|\d+ \S+ ago))$/.test(text.trim()), `a price has no age: ${text}`);
  must((await page.locator(".sources tbody tr").count()) > 0, "no source of prices is named");
  const local = page.locator(".providers tbody tr", { has: page.getByRole("rowheader", { name: /^local/ }) });
  await until("the provider of this host to be listed", 15_000, async () => (await local.locator(".state").innerText()) === "ok");
  must((await page.locator(".providers .panel-foot").innerText()).includes("nothing is bought"), "the rehearsal is not told where machines come from");
}

/** @param {Page} page @param {Server} server */
export async function newsComesByItself(page, server) {
  await page.evaluate(() => /** @type {any} */ (window).sameDocument = true);
  const name = "page-flow-probe";
  const file = ["version: 1", `name: ${name}`, "train:", "  any_of: [T4:0.5, L4:0.5]", "  cpus: 1", "  memory: 2GiB", "  run_time: 10m", "  command: sleep 600"].join("\n");
  const status = await page.evaluate(async (text) => {
    const answer = await fetch("/v1/jobs", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text, project: "page-flow" }) });
    return `${answer.status} ${answer.ok ? "" : await answer.text()}`.trim();
  }, file);
  must(status.startsWith("200"), `the job was not taken: ${status}`);
  await page.locator(".jobs tbody").getByRole("button", { name, exact: true }).waitFor({ timeout: server.mock ? 3_000 : 15_000 });
  await until("the stream told of the job", 5_000, () => page.evaluate(() => /** @type {any} */ (window).streamed.some((/** @type {any} */ e) => e.subject === "job")));
  must(await page.evaluate(() => /** @type {any} */ (window).sameDocument === true), "the page was loaded anew");
}

/** By keyboard alone. @param {Page} page @param {Server} server */
export async function jobOpens(page, server) {
  const button = page.locator(".jobs tbody").getByRole("button", { name: server.service, exact: true });
  await button.focus();
  await page.keyboard.press("Enter");
  const drawer = page.getByRole("dialog", { name: server.service });
  await drawer.waitFor();
  await drawer.locator(".log-line").first().waitFor({ timeout: 10_000 });
  await drawer.locator("tbody tr").first().waitFor();
  must(page.url().includes("#job="), "the open job is not in the address");
  const found = await axe(page);
  must(found.length === 0, found.join("\n"));
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
  must(await button.evaluate((b) => b === document.activeElement), "the focus did not return to the job");
}

/** @param {Page} page */
export async function jobIsCancelled(page) {
  const name = "page-flow-probe";
  await page.locator(".jobs tbody").getByRole("button", { name, exact: true }).click();
  const drawer = page.getByRole("dialog", { name });
  await drawer.getByRole("button", { name: "Cancel job …" }).click();
  await drawer.getByRole("button", { name: "Cancel the job" }).click();
  await drawer.locator(".drawer-head .state", { hasText: "cancelled" }).waitFor({ timeout: 20_000 });
  await drawer.getByRole("button", { name: "Close" }).click();
  await drawer.waitFor({ state: "detached" });
}

/** @param {Page} page @param {"light" | "dark"} theme */
export async function accessibleIn(page, theme) {
  const toggle = page.getByRole("button", { name: `Use ${theme} colours` });
  if (await toggle.isVisible()) await toggle.click();
  await settled(page);
  const found = await axe(page);
  must(found.length === 0, found.join("\n"));
}

/** @param {Page} page */
export async function themeIsKept(page) {
  const before = await page.evaluate(() => document.documentElement.dataset["theme"]);
  await page.reload();
  await page.getByRole("heading", { name: "What runs where" }).waitFor();
  const after = await page.evaluate(() => document.documentElement.dataset["theme"]);
  must(before === "dark" && after === "dark", `the theme was ${before} and is ${after} after a reload`);
}

/** @param {Page} page */
export async function fitsAPhone(page) {
  await page.setViewportSize({ width: 390, height: 844 });
  await settled(page);
  const [wide, view] = await page.evaluate(() => [document.scrollingElement?.scrollWidth ?? 0, innerWidth]);
  must(Number(wide) <= Number(view), `the page is ${wide} px wide on a screen of ${view} px`);
  const found = await axe(page);
  must(found.length === 0, found.join("\n"));
}

/** Signs out, tries the link of the beginning again, and comes back with a new code. @param {Page} page @param {Server} server */
export async function signsOutAndIn(page, server) {
  const again = await page.evaluate(async () => (await (await fetch("/v1/logins", { method: "POST" })).json()).url);
  await page.getByRole("button", { name: "Sign out" }).click();
  const field = page.getByLabel("Link or one-time code");
  await field.waitFor();
  const found = await axe(page);
  must(found.length === 0, found.join("\n"));
  await field.fill(server.link);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").filter({ hasText: /link was used/ }).waitFor();
  must((await page.locator(".sign-in").innerText()).includes("purser token link"), "the refusal does not say what to do");
  await field.fill(again);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "What runs where" }).waitFor();
}

/** @param {Page} page */
export async function lossIsTold(page) {
  await page.getByText("The server does not answer.", { exact: true }).waitFor({ timeout: 20_000 });
}
