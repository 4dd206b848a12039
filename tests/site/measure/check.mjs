// Measures every page of the built site by public tools, prints one table, and fails
// below the bars.
//
//   node check.mjs SITE [--only TEXT] [--performance all|sample|none]
//
// Lighthouse, axe-core and the Nu HTML checker come from npm; CHROME names the browser.
// Performance takes longest: the sample is the home page, the search, and the heaviest.

import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import puppeteer from "puppeteer-core";
import { checkInBrowser } from "./browser.mjs";
import { time } from "./lighthouse.mjs";
import { serve } from "./serve.mjs";

const AT_ONCE = 2;
const DEVICES = ["mobile", "desktop"];
const SAMPLED = ["index.html", "search.html"];
const HEAVIEST = 4;

async function findPages(site, only) {
  const files = await readdir(site, { recursive: true });
  return files
    .filter((file) => file.endsWith(".html") && file.includes(only))
    .filter((file) => !file.startsWith("_static"))
    .sort();
}

/** Ask the Nu HTML checker about all pages at once; return messages by page. */
function checkHtml(site, pages) {
  const jar = createRequire(import.meta.url).resolve("vnu-jar/build/dist/vnu.jar");
  const paths = pages.map((page) => join(site, page));
  const done = spawnSync("java", ["-jar", jar, "--format", "json", "--exit-zero-always", ...paths], {
    encoding: "utf-8",
    maxBuffer: 1 << 28,
  });
  if (done.error) throw done.error;
  const byPage = Object.fromEntries(pages.map((page) => [page, []]));
  for (const message of JSON.parse(done.stderr).messages) {
    if (message.type !== "error") continue;
    const page = relative(site, decodeURIComponent(new URL(message.url).pathname));
    byPage[page].push(`HTML line ${message.lastLine}: ${message.message}`);
  }
  return byPage;
}

function launch() {
  return puppeteer.launch({
    executablePath: process.env.CHROME ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

const portOf = (browser) => Number(new URL(browser.wsEndpoint()).port);

/** Open all pages, a few at a time; return what was found, by page. */
async function visit(browser, address, pages) {
  const results = new Map();
  const waiting = pages.values(); // all take from this one
  const worker = async () => {
    for (const page of waiting) {
      results.set(page, await checkInBrowser(browser, address + page));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

/** Ask Lighthouse about all pages, in threads with a browser each; one thread runs one. */
async function scoreAll(address, pages) {
  const results = Object.fromEntries(pages.map((page) => [page, {}]));
  const runs = pages.flatMap((page) => DEVICES.map((device) => ({ page, device })));
  const waiting = runs.values();
  const thread = async () => {
    const browser = await launch();
    const file = new URL("lighthouse.mjs", import.meta.url);
    const worker = new Worker(file, { workerData: portOf(browser) });
    for (const { page, device } of waiting) {
      worker.postMessage({ address: address + page, device });
      [results[page][device]] = await once(worker, "message");
    }
    await worker.terminate();
    await browser.close();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, thread));
  return results;
}

/** Links of a page that lead to no file, or to no such name in one of the pages. */
function findBroken(site, address, results, page) {
  return results
    .get(page)
    .links.filter((link) => link.startsWith(address))
    .map((link) => new URL(link))
    .filter(({ pathname, hash }) => {
      const target = decodeURIComponent(pathname).slice(1);
      const ids = results.get(target)?.ids;
      const nowhere = hash && ids && !ids.includes(decodeURIComponent(hash).slice(1));
      return nowhere || !existsSync(join(site, target));
    })
    .map(({ pathname, hash }) => `broken link: ${pathname}${hash}`);
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "" },
    performance: { type: "string", default: "all" },
  },
});
const site = resolve(positionals[0]);
const pages = await findPages(site, values.only);
const server = await serve(site);
const address = `http://127.0.0.1:${server.address().port}/`;
const browser = await launch();
console.log(`${pages.length} pages: HTML, in a browser, by Lighthouse`);
const html = checkHtml(site, pages);
const results = await visit(browser, address, pages);
const scored = await scoreAll(address, pages);

const heaviest = [...pages].sort((a, b) => results.get(b).kilobytes - results.get(a).kilobytes);
const timed = {
  all: pages,
  sample: [...SAMPLED, ...heaviest.slice(0, HEAVIEST)],
  none: [],
}[values.performance];

let failures = 0;
const row = (...cells) =>
  console.log([46, 5, 15, 15, 0].map((width, i) => String(cells[i]).padEnd(width)).join(" "));
console.log("Lighthouse: accessibility/best practices/SEO/performance\n");
row("page", "kB", "mobile", "desktop", "findings");
for (const page of pages) {
  const { found, kilobytes } = results.get(page);
  const all = [...html[page], ...found, ...findBroken(site, address, results, page)];
  const scores = [];
  for (const device of DEVICES) {
    const parts = [scored[page][device]];
    if (timed.includes(page)) parts.push(await time(portOf(browser), address + page, device));
    scores.push(parts.flatMap((part) => Object.values(part.scores)).join("/"));
    all.push(...parts.flatMap((part) => part.found));
  }
  row(page, kilobytes, ...scores, all.length || "none");
  for (const finding of all) console.log(`    ${finding}`);
  failures += all.length;
}
await browser.close();
server.close();
console.log(`\n${pages.length} pages, ${failures} findings`);
process.exit(failures ? 1 : 0);
