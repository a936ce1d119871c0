// The server that the flow looks at: a real `purser serve` on a free port of
// loopback with a data folder of its own, or, with --mock, the mock.

import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Mock } from "../dev/mock.mjs";

/**
 * @typedef {object} Server
 * @property {string} link signs a browser in, once
 * @property {boolean} mock
 * @property {string[]} jobs that it runs from the start
 * @property {string} service one of them that does not end by itself
 * @property {() => string[]} complaints lines of its log that tell of an error
 * @property {() => Promise<number>} stop ends it as Ctrl-C does, and gives its exit code
 * @property {() => void} remove ends it at once if need be, and removes its data
 */

/** @param {boolean} mock @returns {Promise<Server>} */
export function start(mock) {
  return mock ? startMock() : startReal();
}

/** @returns {Promise<Server>} */
async function startMock() {
  const server = new Mock({ scenario: "realistic" });
  const address = await server.listen(0);
  return {
    link: `${address}/#signin=${server.code}`,
    mock: true,
    jobs: ["finetune", "evaluate", "embed-catalogue", "chat"],
    service: "chat",
    complaints: () => [],
    stop: async () => {
      server.close();
      return 0;
    },
    remove: () => server.close(),
  };
}

const linkPattern = /https?:\/\/\S+#signin=\S+/;
const startMs = 70_000;
const stopMs = 55_000; // it lets tasks stop at a checkpoint first

/** @returns {Promise<Server>} */
async function startReal() {
  const bin = resolve(process.env["PURSER_BIN"] || fileURLToPath(new URL("../../bin/purser", import.meta.url)));
  if (!existsSync(bin)) throw new Error(`there is no ${bin}; make build makes it`);
  const jobs = fileURLToPath(new URL("../../examples/first-run.yaml", import.meta.url));
  const data = mkdtempSync(join(tmpdir(), "purser-page-flow-"));
  chmodSync(data, 0o711); // started by root, Postgres runs as another user and has to get in
  // Nothing of the caller's own Purser: no settings, no database, no token.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PURSER_")));
  const child = spawn(bin, ["serve", "--listen", "127.0.0.1:0", "--data-dir", join(data, "data"), "--first-run", jobs], {
    env: { ...env, XDG_CONFIG_HOME: join(data, "config") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const exited = new Promise((/** @type {(code: number) => void} */ done) => {
    child.on("exit", (code, signal) => done(code ?? (signal ? 128 : 1)));
    child.on("error", (error) => {
      output += String(error);
      done(127);
    });
  });
  const link = new Promise((/** @type {(link: string) => void} */ found) => {
    const read = (/** @type {Buffer} */ chunk) => {
      output += chunk.toString();
      const match = linkPattern.exec(output);
      if (match && output.includes("\n", match.index)) found(match[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
  });
  const logged = () => {
    const path = join(data, "data", "server.log");
    return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  };
  const log = () => `${output.trimEnd()}\n${logged().slice(-15).join("\n")}`;
  const remove = () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    rmSync(data, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  const address = await Promise.race([link, exited.then(() => ""), after(startMs, "")]);
  if (address === "") {
    const said = log();
    if (child.exitCode === null) child.kill("SIGINT");
    await Promise.race([exited, after(stopMs, 1)]);
    remove();
    throw new Error(`purser serve printed no sign-in link within ${startMs / 1000} s; it said:\n${said}`);
  }
  return {
    link: address,
    mock: false,
    jobs: ["finetune", "evaluate", "embed", "chat"],
    service: "chat",
    complaints: () => logged().filter((line) => /level=(ERROR|WARN)/.test(line)),
    stop: async () => {
      child.kill("SIGINT");
      const code = await Promise.race([exited, after(stopMs, -1)]);
      if (code !== 0) console.log(log().replace(/^/gm, "    "));
      return code;
    },
    remove,
  };
}

/** @template T @param {number} ms @param {T} value @returns {Promise<T>} */
function after(ms, value) {
  return new Promise((resolve) => setTimeout(() => resolve(value), ms).unref());
}
