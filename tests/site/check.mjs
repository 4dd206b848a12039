// Measures every page of the built site by public tools, prints one table, and fails
// below the bars.
//
//   node check.mjs SITE [--only TEXT] [--lighthouse all|sample|none]
//
// Lighthouse, axe-core and the Nu HTML checker come from npm; CHROME names the browser.

import { createReadStream, existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { spawnSync } from "node:child_process";
import { dirname, extname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { createGzip } from "node:zlib";
import axe from "axe-core";
import lighthouse, { desktopConfig } from "lighthouse";
import puppeteer from "puppeteer-core";

const BARS = {
  performance: { mobile: 95, desktop: 100 },
  other: 100,
  kilobytes: 300,
};
const SAMPLE = ["index.html", "gallery/layers/index.html", "api/kernels.html", "search.html"];
const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webp": "image/webp",
};
const COMPRESSED = new Set([".css", ".html", ".js", ".svg", ".txt"]);

/** Serve a folder on loopback, compressed and cached, as hosts of static sites do. */
function serve(site) {
  const server = createServer((request, response) => {
    let path = join(site, decodeURIComponent(new URL(request.url, "http://x").pathname));
    if (existsSync(path) && statSync(path).isDirectory()) path = join(path, "index.html");
    if (!existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    const type = extname(path);
    const headers = {
      "Content-Type": TYPES[type] ?? "application/octet-stream",
      "Cache-Control": type === ".html" ? "no-cache" : "max-age=31536000, immutable",
    };
    if (COMPRESSED.has(type)) {
      response.writeHead(200, { ...headers, "Content-Encoding": "gzip" });
      createReadStream(path).pipe(createGzip()).pipe(response);
    } else {
      response.writeHead(200, { ...headers, "Content-Length": statSync(path).size });
      createReadStream(path).pipe(response);
    }
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

async function findPages(site, only) {
  const files = await readdir(site, { recursive: true });
  return files
    .filter((file) => file.endsWith(".html") && file.includes(only))
    .filter((file) => !/^_(static|modules)/.test(file))
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

/** What is wider than a narrow page shows, and does not scroll by itself. */
function findCutOff() {
  const width = document.documentElement.clientWidth;
  const scrolls = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const { overflowX, position } = getComputedStyle(at);
      if (/auto|scroll/.test(overflowX) || position === "fixed") return true;
      if (at.matches(".sr-only, .visually-hidden, .skip-to-content, svg, math")) return true;
    }
    return false;
  };
  return [...document.querySelectorAll("body *")]
    .filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width > 0 && box.height > 0 && box.right > width + 1 && !scrolls(element);
    })
    .map((element) => `${element.tagName.toLowerCase()}.${element.className}`.slice(0, 60))
    .slice(0, 3);
}

/** Open a page as a reader does and return what is wrong with it, in words. */
async function checkInBrowser(browser, address, host) {
  const found = [];
  let bytes = 0;
  const page = await browser.newPage();
  await page.setCacheEnabled(false);
  page.on("console", (message) => {
    if (["error", "warn", "warning"].includes(message.type())) {
      found.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => found.push(`console: ${error.message}`));
  page.on("request", (request) => {
    const { protocol, host: asked } = new URL(request.url());
    if (protocol.startsWith("http") && asked !== host) found.push(`foreign: ${request.url()}`);
  });
  const client = await page.createCDPSession();
  await client.send("Network.enable");
  client.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
  await page.setViewport({ width: 1280, height: 900 });
  await page.evaluateOnNewDocument(() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(address, { waitUntil: "networkidle0" });
  const kilobytes = Math.round(bytes / 1000);
  if (kilobytes > BARS.kilobytes) found.push(`${kilobytes} kB before scrolling`);

  await page.evaluate(async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 800) {
      window.scrollTo(0, y);
      await new Promise((done) => setTimeout(done, 20));
    }
  });
  await page.waitForNetworkIdle({ idleTime: 100 });
  const shift = await page.evaluate(() => window.shift);
  if (shift >= 0.001) found.push(`layout shift ${shift.toFixed(4)}`);
  const wordless = await page.evaluate(() =>
    [...document.images].filter((image) => !image.alt.trim()).map((image) => image.src),
  );
  for (const source of wordless) found.push(`no text alternative: ${source}`);

  await page.evaluate(axe.source);
  for (const theme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    const { violations } = await page.evaluate(() => window.axe.run());
    for (const { id, nodes } of violations) {
      found.push(`axe ${theme}: ${id} × ${nodes.length}: ${nodes[0].html.slice(0, 120)}`);
    }
  }

  await page.setViewport({ width: 320, height: 640, isMobile: true, hasTouch: true });
  await page.goto(address, { waitUntil: "networkidle0" });
  for (const element of await page.evaluate(findCutOff)) {
    found.push(`cut off at 320 px: ${element}`);
  }
  await page.close();
  return { found, kilobytes };
}

/** Return Lighthouse's four scores for one form of device. */
async function score(browser, address, device) {
  const config = device === "desktop" ? desktopConfig : undefined;
  const options = {
    port: new URL(browser.wsEndpoint()).port,
    output: "json",
    logLevel: "error",
  };
  const { lhr } = await lighthouse(address, options, config);
  const found = [];
  const scores = {};
  for (const [id, category] of Object.entries(lhr.categories)) {
    scores[id] = Math.round(category.score * 100);
    const bar = id === "performance" ? BARS.performance[device] : BARS.other;
    if (scores[id] < bar) {
      const failed = category.auditRefs
        .filter(({ id: audit, weight }) => weight > 0 && lhr.audits[audit].score < 0.9)
        .map(({ id: audit }) => audit);
      found.push(`Lighthouse ${device}: ${id} ${scores[id]} (${failed.join(", ")})`);
    }
  }
  return { found, scores: Object.values(scores).join("/") };
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "" },
    lighthouse: { type: "string", default: "all" },
  },
});
const site = resolve(positionals[0]);
const pages = await findPages(site, values.only);
const server = await serve(site);
const host = `127.0.0.1:${server.address().port}`;
const browser = await puppeteer.launch({
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
const html = checkHtml(site, pages);
const sampled = (page) =>
  values.lighthouse === "all" ||
  (values.lighthouse === "sample" && (SAMPLE.includes(page) || /gallery\/.*\/\d0?0_/.test(page)));

let failures = 0;
console.log("Lighthouse: performance/accessibility/best practices/SEO\n");
console.log(`${"page".padEnd(46)} kB    mobile          desktop         findings`);
for (const page of pages) {
  const address = `http://${host}/${page}`;
  const { found, kilobytes } = await checkInBrowser(browser, address, host);
  const all = [...html[page], ...found];
  const scores = [];
  for (const device of ["mobile", "desktop"]) {
    if (!sampled(page)) {
      scores.push("–");
      continue;
    }
    const result = await score(browser, address, device);
    all.push(...result.found);
    scores.push(result.scores);
  }
  const [mobile, desktop] = scores.map((text) => text.padEnd(15));
  console.log(`${page.padEnd(46)} ${String(kilobytes).padEnd(5)} ${mobile} ${desktop} ${all.length || "none"}`);
  for (const finding of all) console.log(`    ${finding}`);
  failures += all.length;
}
await browser.close();
server.close();
console.log(`\n${pages.length} pages, ${failures} findings`);
process.exit(failures ? 1 : 0);
