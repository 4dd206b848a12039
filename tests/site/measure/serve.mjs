// Serves the built site on loopback.

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { createGzip } from "node:zlib";

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
export function serve(site) {
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
