// A stand-in for the server: `npm run mock -- --scenario realistic|empty|crowd --port 8788`.
// It serves the built page and believable answers, for work on the page alone.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { Market } from "./market.mjs";
import { jobView, leaseViews, logView, planView, spendView, taskViews } from "./views.mjs";
import { World } from "./world.mjs";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const security =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
const types = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */

/** @param {Response} res @param {number} status @param {unknown} body */
function send(res, status, body) {
  res.writeHead(status, { "Content-Type": status < 400 ? "application/json" : "application/problem+json" }).end(JSON.stringify(body));
}

/** @param {Response} res @param {number} status @param {string} code @param {string} detail @param {string} [hint] */
function refuse(res, status, code, detail, hint) {
  send(res, status, { type: "about:blank", title: code, status, code, detail, ...(hint ? { hint } : {}) });
}

/** @param {Request} req @returns {Promise<any>} */
async function body(req) {
  let text = "";
  for await (const chunk of req) text += chunk;
  return JSON.parse(text || "{}");
}

export class Mock {
  /** @param {{ scenario: string }} options */
  constructor({ scenario }) {
    this.world = new World(scenario);
    this.market = new Market(scenario, (name) => this.event("price", name));
    this.code = "mock-code";
    /** Codes that have not been used. */
    this.codes = new Set([this.code]);
    /** @type {Set<Response>} */
    this.streams = new Set();
    this.server = createServer((req, res) => {
      this.#answer(req, res).catch((error) => refuse(res, 500, "internal", String(error)));
    });
  }

  /** @param {number} port @returns {Promise<string>} the address */
  listen(port) {
    return new Promise((resolve) => {
      this.server.listen(port, "127.0.0.1", () => {
        const at = this.server.address();
        resolve(`http://127.0.0.1:${typeof at === "object" && at ? at.port : port}`);
      });
    });
  }

  close() {
    for (const s of this.streams) s.end();
    this.server.closeAllConnections();
    this.server.close();
  }

  /** @param {string} subject @param {string} name */
  event(subject, name) {
    const id = ++this.world.events;
    for (const s of this.streams) s.write(`id: ${id}\ndata: ${JSON.stringify({ id, at: new Date().toISOString(), actor: "mock", subject, name })}\n\n`);
  }

  /** @param {Request} req @param {Response} res */
  async #answer(req, res) {
    const url = new URL(req.url ?? "/", "http://mock");
    res.setHeader("Content-Security-Policy", security);
    if (!url.pathname.startsWith("/v1/")) return this.#file(url.pathname, res);
    if (url.pathname === "/v1/health") {
      return send(res, 200, { status: "ok", version: "mock", rehearsal: true, server: "mock-1", host: "mock-host", time: new Date().toISOString(), parts: { database: "ok", solver: "ok", sweeps: "ok" } });
    }
    if (url.pathname === "/v1/session") return this.#session(req, res);
    if (!(req.headers.cookie ?? "").includes("purser_session=mock")) return refuse(res, 401, "unauthorized", "this call needs a token");
    if (url.pathname === "/v1/events/stream") return this.#stream(req, res);
    if (url.pathname === "/v1/logins") {
      const code = `mock-code-${Math.random().toString(36).slice(2)}`;
      this.codes.add(code);
      return send(res, 200, { code, url: `http://${req.headers.host}/#signin=${code}`, valid_until: new Date(Date.now() + 600_000).toISOString() });
    }
    if (url.pathname.startsWith("/v1/jobs")) return this.#jobs(req, res, url);
    const said = this.market.answer(`${req.method} ${url.pathname}`, url.searchParams, req.method === "POST" ? await body(req) : {});
    if (said === null) return res.writeHead(204).end();
    if (said !== undefined) return send(res, 200, said);
    return this.#read(res, url);
  }

  /** @param {string} path @param {Response} res */
  async #file(path, res) {
    const name = path === "/" ? "index.html" : path.slice(1);
    if (name.includes("..")) return refuse(res, 404, "not_found", "there is nothing there");
    try {
      const type = types[/** @type {keyof typeof types} */ (name.split(".").pop() ?? "")] ?? "application/octet-stream";
      res.writeHead(200, { "Content-Type": type }).end(await readFile(dist + name));
    } catch {
      refuse(res, 404, "not_found", `there is nothing at ${path}`);
    }
  }

  /** @param {Request} req @param {Response} res */
  async #session(req, res) {
    if (req.method === "DELETE") return res.writeHead(204, { "Set-Cookie": "purser_session=; Path=/; Max-Age=0" }).end();
    const { code } = await body(req);
    if (!this.codes.delete(code)) return refuse(res, 401, "unauthorized", "the link was used already, or is too old", "make a new one with: purser token link");
    return res.writeHead(204, { "Set-Cookie": "purser_session=mock; Path=/; HttpOnly; SameSite=Strict" }).end();
  }

  /** @param {Request} req @param {Response} res */
  #stream(req, res) {
    res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    res.write(`event: ping\ndata: ${JSON.stringify({ at: new Date().toISOString() })}\n\n`);
    this.streams.add(res);
    req.on("close", () => this.streams.delete(res));
  }

  /** @param {Request} req @param {Response} res @param {URL} url */
  async #jobs(req, res, url) {
    const w = this.world;
    const [, , , ref, verb] = url.pathname.split("/");
    if (!ref && req.method === "POST") return this.#submit(req, res);
    if (!ref) {
      const newest = [...w.jobs].sort((a, b) => b.submitted - a.submitted);
      const limit = Number(url.searchParams.get("limit") ?? 100);
      const from = Number(url.searchParams.get("after") ?? 0);
      const next = from + limit < newest.length ? { next: String(from + limit) } : {};
      return send(res, 200, { jobs: newest.slice(from, from + limit).map((j) => jobView(w, j)), ...next });
    }
    const job = w.jobs.find((j) => j.id === decodeURIComponent(ref));
    if (!job) return refuse(res, 404, "not_found", `there is no job ${ref}`);
    if (verb === "tasks") return send(res, 200, { tasks: taskViews(w, job) });
    if (verb === "logs") return send(res, 200, logView(w, job, Number(url.searchParams.get("after") ?? 0), Number(url.searchParams.get("limit") ?? 1000)));
    if (verb === "cancel") {
      for (const t of job.tasks) t.state = "cancelled";
      this.event("job", job.id);
    }
    return send(res, 200, jobView(w, job));
  }

  /** Takes the name out of a job file, and no more. @param {Request} req @param {Response} res */
  async #submit(req, res) {
    const { text } = await body(req);
    const name = /name:\s*(\S+)/.exec(text)?.[1] ?? "unnamed";
    const id = this.world.add({ name, project: "mock", kind: "training", replicas: 1, devices: 0.5, vcpus: 1, memory: 2, accelerator: "L4", hours: 0.2, ageMin: 0 }, Date.now());
    this.event("job", id);
    this.event("lease", "new");
    send(res, 200, { jobs: [{ id, project: "mock", name, created: true }] });
  }

  /** @param {Response} res @param {URL} url */
  #read(res, url) {
    const w = this.world;
    switch (url.pathname) {
      case "/v1/spend":
        return send(res, 200, spendView(w));
      case "/v1/plans":
        return send(res, 200, { plans: w.jobs.length === 0 ? [] : [{ ...planView(w), leases: [], refusals: [] }] });
      case "/v1/plans/plan-0007":
        return send(res, 200, planView(w));
      case "/v1/leases":
        return send(res, 200, { leases: leaseViews(w) });
      default:
        return refuse(res, 404, "not_found", `the mock knows no ${url.pathname}`);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const flag = (/** @type {string} */ name, /** @type {string} */ fallback) => process.argv[process.argv.indexOf(`--${name}`) + 1 || -1] ?? fallback;
  const mock = new Mock({ scenario: process.argv.includes("--scenario") ? flag("scenario", "realistic") : "realistic" });
  const address = await mock.listen(process.argv.includes("--port") ? Number(flag("port", "8788")) : 8788);
  console.log(`mock server: ${address}/#signin=${mock.code}`);
}
