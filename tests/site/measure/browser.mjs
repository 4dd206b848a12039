// Opens a page as readers do, and says what is wrong with it.

import axe from "axe-core";
import * as inside from "./inside.mjs";

const MOST_KILOBYTES = 300;
const VIEWPORTS = [
  { width: 1350, height: 940 },
  { width: 320, height: 640, isMobile: true, hasTouch: true },
];

/** Open a page as readers do, wide and narrow, light and dark; say what is wrong. */
export async function checkInBrowser(browser, address) {
  const { host } = new URL(address);
  const found = new Set();
  const add = (findings, where) => findings.forEach((text) => found.add(`${where}: ${text}`));
  let bytes = 0;
  // In a window of its own: pages behind others are not drawn, so they never settle.
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setCacheEnabled(false);
  page.on("console", (message) => {
    if (["error", "warn", "warning"].includes(message.type())) {
      found.add(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => found.add(`console: ${error.message}`));
  page.on("request", (request) => {
    const { protocol, host: asked } = new URL(request.url());
    if (protocol.startsWith("http") && asked !== host) found.add(`foreign: ${request.url()}`);
  });
  const client = await page.createCDPSession();
  await client.send("Network.enable");
  client.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
  await page.evaluateOnNewDocument(inside.watchShifts);

  let kilobytes, links;
  for (const viewport of VIEWPORTS) {
    const wide = `${viewport.width} px`;
    await page.setViewport(viewport);
    await page.goto(address, { waitUntil: "networkidle0" });
    if (!links) {
      links = await page.evaluate(inside.findLinks);
      kilobytes = Math.round(bytes / 1000);
      if (kilobytes > MOST_KILOBYTES) found.add(`${kilobytes} kB before scrolling`);
    }
    await page.evaluate(inside.scrollThrough);
    add(await page.evaluate(inside.findShift), wide);
    add(await page.evaluate(inside.findWordless), wide);
    await page.evaluate(inside.useFigures);
    await page.evaluate(axe.source);
    for (const theme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      add(await page.evaluate(inside.findCutOff), `${wide} ${theme}`);
      add(await page.evaluate(inside.runAxe), `${wide} ${theme}`);
    }
  }
  await context.close();
  return { found: [...found], kilobytes, ...links };
}
