// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, client, unwrap } from "../src/api/client";
import { collectSource, endRule, keepPrice, readOffers, releasePrice } from "../src/api/market";
import { readHealth, readJobs, readLatestPlan, readLogs } from "../src/api/queries";
import { codeOf, sessionState, signedOut, signIn, signInByLink, signOut } from "../src/api/session";
import { everything, families } from "../src/lib/market";
import { health, job, offer, plan, rule, source } from "./samples";

type Answer = (url: URL, request: Request) => Response | Promise<Response>;

/** Answers every call, and keeps what was asked. */
function answer(with_: Answer): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const url = new URL(request.url);
    asked.push(`${request.method} ${url.pathname}${url.search}`);
    return with_(url, request);
  });
  return asked;
}

const json = (body: unknown, status = 200) => Response.json(body, { status });
const signal = new AbortController().signal;

afterEach(() => void vi.unstubAllGlobals());

describe("a call that fails", () => {
  it("is told in the words of the problem, with its hint", async () => {
    answer(() => json({ title: "Conflict", status: 409, code: "conflict", detail: "the job has ended", hint: "submit it again" }, 409));
    await expect(unwrap(client.GET("/v1/spend"))).rejects.toMatchObject({ status: 409, code: "conflict", message: "the job has ended", hint: "submit it again" });
  });

  it("is told too where a proxy answers without a problem", async () => {
    answer(() => new Response("bad gateway", { status: 502 }));
    await expect(unwrap(client.GET("/v1/spend"))).rejects.toMatchObject({ status: 502, message: "the server answered 502" });
  });

  it("has the status 0 when there is no answer", async () => {
    answer(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(unwrap(client.GET("/v1/spend"))).rejects.toBeInstanceOf(ApiError);
    await expect(unwrap(client.GET("/v1/spend"))).rejects.toMatchObject({ status: 0, code: "unavailable" });
  });

  it("stays an abort when it was aborted", async () => {
    answer(() => Promise.reject(new DOMException("stop", "AbortError")));
    await expect(unwrap(client.GET("/v1/spend"))).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("health", () => {
  it("is read from a server that is down too", async () => {
    const down = health({ status: "down", parts: { database: "does not answer" } });
    answer(() => json(down, 503));
    expect(await readHealth(signal)).toEqual(down);
  });

  it("is an error where something else answers 503", async () => {
    answer(() => new Response("no upstream", { status: 503 }));
    await expect(readHealth(signal)).rejects.toMatchObject({ status: 503 });
  });
});

describe("the newest plan", () => {
  it("is null while there is none, without an error", async () => {
    const asked = answer(() => json({ plans: [] }));
    expect(await readLatestPlan(signal)).toBeNull();
    expect(asked).toEqual(["GET /v1/plans?limit=1"]);
  });

  it("is read whole by its id", async () => {
    const asked = answer((url) => json(url.pathname === "/v1/plans" ? { plans: [plan({ id: "plan-9", leases: [] })] } : plan({ id: "plan-9" })));
    expect((await readLatestPlan(signal))?.leases).toHaveLength(1);
    expect(asked.at(-1)).toBe("GET /v1/plans/plan-9");
  });
});

describe("jobs", () => {
  it("are read page by page", async () => {
    const asked = answer((url) => (url.searchParams.get("after") ? json({ jobs: [job({ id: "2" })] }) : json({ jobs: [job({ id: "1" })], next: "1" })));
    const list = await readJobs(signal);
    expect(list.jobs.map((j) => j.id)).toEqual(["1", "2"]);
    expect(list.more).toBe(false);
    expect(asked).toEqual(["GET /v1/jobs?limit=200", "GET /v1/jobs?limit=200&after=1"]);
  });

  it("end after five pages, and say that there are more", async () => {
    const asked = answer(() => json({ jobs: [job()], next: "again" }));
    expect(await readJobs(signal)).toMatchObject({ more: true });
    expect(asked).toHaveLength(5);
  });

  it("bear a missing list", async () => {
    answer(() => json({ jobs: null }));
    expect(await readJobs(signal)).toEqual({ jobs: [], more: false });
  });
});

describe("offers", () => {
  it("come whole when they are few", async () => {
    const asked = answer(() => json({ offers: [offer()] }));
    expect(await readOffers(everything, signal)).toMatchObject({ whole: true });
    expect(asked).toEqual(["GET /v1/prices?per=device&accelerated=true&limit=1000"]);
  });

  it("are asked for by family when they are many", async () => {
    const many = Array.from({ length: 1000 }, (_, i) => offer({ id: `o-${i}`, accelerator: "K80" }));
    const asked = answer((url) => {
      const accelerator = url.searchParams.get("accelerator");
      return json({ offers: accelerator ? [offer({ accelerator, purchase_option: url.searchParams.get("option") ?? "" })] : many });
    });
    const list = await readOffers(everything, signal);
    expect(list.whole).toBe(false);
    expect(list.offers).toHaveLength(2 * families.length);
    expect(asked).toContain("GET /v1/prices?per=device&accelerated=true&accelerator=H100&option=spot&limit=1");
  });

  it("are the cheapest thousand of one accelerator", async () => {
    const asked = answer(() => json({ offers: Array.from({ length: 1000 }, (_, i) => offer({ id: `o-${i}` })) }));
    expect(await readOffers({ ...everything, accelerator: "T4" }, signal)).toMatchObject({ whole: false });
    expect(asked).toHaveLength(1);
  });

  it("are asked for with every filter", async () => {
    const asked = answer(() => json({ offers: null }));
    await readOffers({ accelerator: "H100", option: "spot", per: "gib", provider: "aws", region: "us-east-2", memory: "80", day: "2026-07-09" }, signal);
    expect(asked).toEqual(["GET /v1/prices?per=gib&accelerated=true&accelerator=H100&option=spot&provider=aws&region=us-east-2&min_memory_gib=80&as_of=2026-07-09T23%3A59%3A59Z&limit=1000"]);
  });
});

describe("what is done about prices", () => {
  it("goes to its source by name", async () => {
    const asked = answer(() => json(source(), 202));
    await collectSource("aws-spot");
    expect(asked).toEqual(["POST /v1/sources/aws-spot/collect"]);
  });

  it("needs no body in the answer", async () => {
    const asked = answer(() => new Response(null, { status: 204 }));
    await keepPrice({ offer: "a/b" });
    await endRule(rule({ offer: "a/b" }));
    expect(asked).toEqual(["POST /v1/quarantine/keep", "DELETE /v1/prices/rules?offer=a%2Fb&reason=by_hand"]);
  });

  it("is refused in the server's words", async () => {
    answer(() => json({ title: "Forbidden", status: 403, code: "forbidden", detail: "this call needs the role admin" }, 403));
    await expect(keepPrice({ offer: "a/b" })).rejects.toMatchObject({ status: 403, message: "this call needs the role admin" });
    await expect(releasePrice({ offer: "a/b" })).rejects.toMatchObject({ status: 403 });
  });
});

it("reads a log after its cursor, with the job in the path", async () => {
  const asked = answer(() => json({ lines: null, next: "", ended: true }));
  expect(await readLogs("job/1", "", 10, signal)).toEqual({ lines: [], next: "", ended: true });
  await readLogs("job/1", "77", 10, signal);
  expect(asked).toEqual(["GET /v1/jobs/job%2F1/logs?limit=10", "GET /v1/jobs/job%2F1/logs?limit=10&after=77"]);
});

describe("the session", () => {
  beforeEach(async () => {
    answer(() => new Response(null, { status: 204 }));
    await signIn("fresh");
  });

  it.each([
    ["abc", "abc"],
    ["  abc \n", "abc"],
    ["http://127.0.0.1:8080/#signin=a%2Bb", "a+b"],
    ["#signin=abc", "abc"],
    ["100%", "100%"],
    ["", ""],
  ])("takes the code out of %j", (text, code) => expect(codeOf(text)).toBe(code));

  it("takes the code out of the address before it is used", async () => {
    history.replaceState(null, "", "/#signin=secret");
    const seen: string[] = [];
    answer(async (_, request) => {
      seen.push(location.hash, JSON.stringify(await request.json()));
      return new Response(null, { status: 204 });
    });
    await signInByLink(location, history);
    expect(seen).toEqual(["", '{"code":"secret"}']);
    expect(sessionState()).toEqual({ signedIn: true, error: null });
  });

  it("asks nothing without a code", async () => {
    history.replaceState(null, "", "/#job=job-1");
    const asked = answer(() => new Response(null, { status: 500 }));
    await signInByLink(location, history);
    expect(asked).toEqual([]);
    expect(location.hash).toBe("#job=job-1");
  });

  it("lets an old link pass while the cookie is good, and tells its error when it is not", async () => {
    answer(() => json({ status: 401, code: "unauthorized", title: "Unauthorized", detail: "the link was used already", hint: "purser token link" }, 401));
    expect(await signIn("old")).toBe(false);
    expect(sessionState().signedIn).toBe(true);
    signedOut();
    expect(sessionState()).toMatchObject({ signedIn: false, error: { message: "the link was used already", hint: "purser token link" } });
  });

  it("ends at sign-out, whatever the server says", async () => {
    answer(() => Promise.reject(new TypeError("Failed to fetch")));
    await signOut();
    expect(sessionState()).toEqual({ signedIn: false, error: null });
  });
});
