// What the page asks the server for. Every query refetches by itself, so that a
// broken event stream delays news and never loses it.

import { QueryCache, QueryClient, useQuery } from "@tanstack/react-query";
import { ApiError, client, unwrap, type Health, type Job, type LogLine, type Plan, type Providers, type Worth } from "./client";
import { signedOut } from "./session";

const refetchMs = 10_000;
const jobPage = 200;
const jobPages = 5;

/** Query keys by what they show; the event stream refreshes by these names. */
export const keys = {
  health: ["health"],
  spend: ["spend"],
  plan: ["plan"],
  leases: ["leases"],
  jobs: ["jobs"],
  tasks: ["tasks"],
  prices: ["prices"],
  sources: ["sources"],
  doubts: ["doubts"],
  providers: ["providers"],
} as const;

export type KeyName = keyof typeof keys;

export function newQueryClient(): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({
      onError(error) {
        if (error instanceof ApiError && error.status === 401) signedOut();
      },
    }),
    defaultOptions: {
      queries: {
        // A refusal stays one; only silence and 5xx are worth asking again.
        retry: (count, error) => count < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
        retryDelay: (count) => 500 * 2 ** count,
        refetchInterval: refetchMs,
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
}

function isHealth(body: unknown): body is Health {
  return typeof body === "object" && body !== null && "parts" in body && "rehearsal" in body;
}

/** How the server fares. One that is down says so with a 503 whose body is the same. */
export async function readHealth(signal: AbortSignal): Promise<Health> {
  const call = client.GET("/v1/health", { signal }).then((answer) => {
    const body: unknown = answer.error;
    return answer.response.status === 503 && isHealth(body) ? { data: body, response: new Response() } : answer;
  });
  return unwrap(call);
}

export function useHealth() {
  return useQuery({ queryKey: keys.health, queryFn: ({ signal }) => readHealth(signal) });
}

export function useSpend() {
  return useQuery({ queryKey: keys.spend, queryFn: ({ signal }) => unwrap(client.GET("/v1/spend", { signal })) });
}

/** The newest plan, or null while there is none: then asking for it would be an error. */
export async function readLatestPlan(signal: AbortSignal): Promise<Plan | null> {
  const { plans } = await unwrap(client.GET("/v1/plans", { params: { query: { limit: 1 } }, signal }));
  const id = plans?.[0]?.id;
  if (!id) return null;
  return unwrap(client.GET("/v1/plans/{plan}", { params: { path: { plan: id } }, signal }));
}

export function useLatestPlan() {
  return useQuery({ queryKey: keys.plan, queryFn: ({ signal }) => readLatestPlan(signal) });
}

export function useLiveLeases() {
  return useQuery({
    queryKey: keys.leases,
    queryFn: async ({ signal }) => {
      const out = await unwrap(client.GET("/v1/leases", { params: { query: { live: true, limit: 1000 } }, signal }));
      return out.leases ?? [];
    },
  });
}

export interface JobList {
  jobs: Job[];
  /** More jobs exist than were read. */
  more: boolean;
}

/** The newest jobs, read page by page up to a thousand. */
export async function readJobs(signal: AbortSignal): Promise<JobList> {
  const jobs: Job[] = [];
  let after: string | undefined;
  for (let page = 0; page < jobPages; page++) {
    const query = after === undefined ? { limit: jobPage } : { limit: jobPage, after };
    const out = await unwrap(client.GET("/v1/jobs", { params: { query }, signal }));
    jobs.push(...(out.jobs ?? []));
    after = out.next || undefined;
    if (after === undefined) break;
  }
  return { jobs, more: after !== undefined };
}

export function useJobs() {
  return useQuery({ queryKey: keys.jobs, queryFn: ({ signal }) => readJobs(signal) });
}

export function useTasks(job: string) {
  return useQuery({
    queryKey: [...keys.tasks, job],
    queryFn: async ({ signal }) => {
      const out = await unwrap(client.GET("/v1/jobs/{job}/tasks", { params: { path: { job } }, signal }));
      return out.tasks ?? [];
    },
  });
}

/** Ends a job and gives it as it then stands. */
export function cancelJob(job: string): Promise<Job> {
  return unwrap(client.POST("/v1/jobs/{job}/cancel", { params: { path: { job } } }));
}

export interface LogPage {
  lines: LogLine[];
  next: string;
  ended: boolean;
}

/** Reads a page of a job's log after a cursor; an empty cursor is the beginning. */
export async function readLogs(job: string, after: string, limit: number, signal: AbortSignal): Promise<LogPage> {
  const query = after === "" ? { limit } : { limit, after };
  const out = await unwrap(client.GET("/v1/jobs/{job}/logs", { params: { path: { job }, query }, signal }));
  return { lines: out.lines ?? [], next: out.next, ended: out.ended };
}

export function useProviders() {
  return useQuery<Providers>({ queryKey: keys.providers, queryFn: ({ signal }) => unwrap(client.GET("/v1/providers", { signal })) });
}

export function readWorth(): Promise<Worth> {
  return unwrap(client.GET("/v1/plans/worth"));
}
