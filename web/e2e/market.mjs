// The steps of the flow in the market: what an accelerator costs, did cost, and what
// is done about a price.

import { settled } from "./browser.mjs";
import { must, until } from "./report.mjs";
import { axe } from "./watch.mjs";

/** @typedef {import("playwright-core").Page} Page */

const accelerator = "H100";
const dayMs = 86_400_000;

/** @param {Page} page */
const market = (page) => page.locator(".prices");

/** @param {Page} page */
export async function acceleratorIsChosen(page) {
  await market(page).getByLabel("Accelerator", { exact: true }).selectOption(accelerator);
  const rows = market(page).locator(".offers-table tbody tr");
  // Until the answer is there, what was shown before stays, greyed.
  await until(`offers of ${accelerator} alone`, 5_000, async () => {
    const texts = await rows.allInnerTexts();
    return texts.length > 0 && texts.every((text) => text.includes(accelerator));
  });
  for (const text of await rows.allInnerTexts()) {
    must(/(list of \d+ \w+ \d{4}|seen (just now|\d+ \S+ ago))/.test(text), `an offer has no age: ${text}`);
  }
  const amounts = async () => (await rows.locator("td:nth-child(4)").allInnerTexts()).map((t) => Number(t.replace(/[^0-9.]/g, "")));
  const sorted = (/** @type {number[]} */ list) => list.every((n, i) => n > 0 && n >= (list[i - 1] ?? 0));
  const perDevice = await amounts();
  must(perDevice.length > 1 && sorted(perDevice), `the offers are not cheapest first: ${perDevice.join(", ")}`);
  await market(page).getByLabel("Price", { exact: true }).selectOption("gib");
  await until("offers, cheapest per GiB first", 5_000, async () => {
    const perGiB = await amounts();
    return sorted(perGiB) && perGiB.some((n, i) => n < (perDevice[i] ?? 0) / 10);
  });
  await market(page).getByLabel("Price", { exact: true }).selectOption("device");
  await market(page).getByLabel("Sold as", { exact: true }).selectOption("spot");
  await until("spot alone", 5_000, async () => (await rows.locator("td:nth-child(2)").allInnerTexts()).every((t) => t === "spot"));
}

/** @param {Page} page */
export async function cheapestIsDrawn(page) {
  const part = market(page).locator(".over-time");
  await part.locator(".chart svg").waitFor();
  await settled(page);
  const texts = () => part.locator(".chart svg text").count();
  const before = await texts();
  await part.locator(".chart").hover({ position: { x: 400, y: 100 } });
  await until("the tip of the cheapest over time", 5_000, async () => (await texts()) > before);
  await page.locator("h2", { hasText: "Market" }).hover();
  await part.getByRole("button", { name: "90 days" }).click();
  await part.getByRole("button", { name: "Table" }).click();
  await part.locator("tbody tr td button").first().waitFor();
  const found = await axe(page);
  must(found.length === 0, found.join("\n"));
  await part.getByRole("button", { name: "Chart" }).click();
}

/** @param {Page} page */
export async function anotherDayIsMarked(page) {
  await market(page).getByLabel("As of").fill(new Date(Date.now() - dayMs).toISOString().slice(0, 10));
  await market(page).getByText(/^Prices of \d+ \w+ \d{4}:/).waitFor();
  await market(page).locator(".offers-table tbody tr").first().waitFor();
  await until("a day of which nothing can be blocked", 5_000, async () => (await market(page).getByRole("button", { name: /^Block/ }).count()) === 0);
  await market(page).getByRole("button", { name: "Back to now" }).click();
  await market(page).locator(".past").waitFor({ state: "detached" });
}

/** By keyboard alone. @param {Page} page */
export async function offerOpens(page) {
  const button = market(page).locator(".offers-table tbody th button").first();
  const name = await button.innerText();
  await button.focus();
  await page.keyboard.press("Enter");
  const drawer = page.getByRole("dialog", { name });
  await drawer.locator(".chart svg").waitFor();
  must(page.url().includes("#offer="), "the open offer is not in the address");
  await settled(page);
  let found = await axe(page);
  must(found.length === 0, found.join("\n"));
  await drawer.getByRole("button", { name: "30 days" }).click();
  await drawer.getByRole("button", { name: "Table" }).click();
  await drawer.locator("tbody tr").first().waitFor();
  must(/\$\d/.test(await drawer.locator("tbody").innerText()), "the history holds no price");
  found = await axe(page);
  must(found.length === 0, found.join("\n"));
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
  must(await button.evaluate((b) => b === document.activeElement), "the focus did not return to the offer");
}

/** @param {Page} page */
export async function sourceIsCollected(page) {
  const row = page.locator(".sources tbody tr", { has: page.locator(".source-name", { hasText: /^bundled$/ }) });
  const button = row.getByRole("button");
  must((await row.innerText()).includes("225 offers"), `the bundled list does not tell what it brought: ${await row.innerText()}`);
  await button.click();
  await until("the collection is over", 20_000, async () => (await button.isEnabled()) && (await row.innerText()).includes("Collect now"));
  must(/well/.test(await row.innerText()), `the collection went wrong: ${await row.innerText()}`);
  await page.locator(".sources").getByRole("button", { name: /^Show all \d+ sources$/ }).click();
  must((await page.locator(".sources .state", { hasText: "not set up" }).count()) > 0, "sources that are not set up are not shown");
}

/** An offer that no job needs is blocked, and the rule ended again. @param {Page} page */
export async function offerIsBlocked(page) {
  const row = market(page).locator(".offers-table tbody tr").last();
  const title = await row.getByRole("button", { name: /^Block/ }).getAttribute("aria-label");
  await row.getByRole("button", { name: /^Block/ }).click();
  const ask = page.locator(".ask");
  const found = await axe(page);
  must(found.length === 0, found.join("\n"));
  await ask.getByLabel(/^Note/).fill("the page flow does not believe it");
  await ask.getByRole("button", { name: "Block the offer" }).click();
  await ask.waitFor({ state: "detached" });
  await until("the blocked offer leaves the list", 10_000, async () => (await market(page).getByRole("button", { name: title ?? "" }).count()) === 0);
  const rules = page.getByRole("region", { name: "Rules", exact: true });
  await rules.getByText("the page flow does not believe it").waitFor();
  await page.locator(".doubts").getByRole("button", { name: "Kept too" }).click();
  await page.locator(".doubts td", { hasText: "blocked by hand" }).waitFor();
  await rules.getByRole("button", { name: /^End rule/ }).click();
  await ask.getByRole("button", { name: "End the rule" }).click();
  await rules.waitFor({ state: "detached" });
  await page.locator(".doubts").getByRole("button", { name: "To review" }).click();
}
