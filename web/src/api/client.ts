// The typed client of Purser's REST API, and its errors.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Charge = Schemas["PurserCharge"];
export type Cheapest = Schemas["Cheapest"];
export type CheapestStep = Schemas["CheapestStep"];
export type Hazard = Schemas["Hazard"];
export type Health = Schemas["Health"];
export type Job = Schemas["Job"];
export type Lease = Schemas["Lease"];
export type LeaseTask = Schemas["LeaseTask"];
export type LogLine = Schemas["LogLine"];
export type Offer = Schemas["Offer"];
export type Plan = Schemas["Plan"];
export type PriceDay = Schemas["PriceDay"];
export type PriceHistory = Schemas["PriceHistory"];
export type PricePoint = Schemas["PurserPricePoint"];
export type PriceRule = Schemas["PurserPriceRule"];
export type Problem = Schemas["Problem"];
export type Provider = Schemas["Provider"];
export type ProviderFailure = Schemas["ProviderFailure"];
export type ProviderQuota = Schemas["ProviderQuota"];
export type Providers = Schemas["Providers"];
export type PurserEvent = Schemas["PurserEvent"];
export type Quarantined = Schemas["QuarantinedPrice"];
export type Review = Schemas["Review"];
export type Source = Schemas["Source"];
export type Spend = Schemas["Spend"];
export type Worth = Schemas["Worth"];
export type Task = Schemas["PurserTask"];

export const client = createClient<paths>({
  baseUrl: location.origin,
  fetch: (request) => globalThis.fetch(request), // looked up at each call, so that tests can answer
});

/** A call that failed. status is 0 when the server did not answer at all. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, message: string, hint = "") {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** Turns what a failed call gave into words for people. */
export function problemOf(status: number, body: unknown): ApiError {
  const p: Partial<Problem> = typeof body === "object" && body !== null ? body : {};
  const message = p.detail || p.title || `the server answered ${status}`;
  return new ApiError(status, p.code ?? "internal", message, p.hint);
}

export function unreachable(): ApiError {
  return new ApiError(0, "unavailable", "the server does not answer", "check that purser serve is running; this page tries again by itself");
}

interface Answer<T> {
  data?: T | undefined;
  error?: unknown;
  response: Response;
}

/** Waits for a call, or throws an ApiError where there was no answer or a refusal. */
async function answered<T>(call: Promise<Answer<T>>): Promise<Answer<T>> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw unreachable();
  }
  if (!answer.response.ok) throw problemOf(answer.response.status, answer.error);
  return answer;
}

/** Waits for a call and gives its body, or throws an ApiError. */
export async function unwrap<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, response, error } = await answered(call);
  if (data === undefined) throw problemOf(response.status, error);
  return data;
}

/** Waits for a call whose answer has no body, or throws an ApiError. */
export async function done(call: Promise<Answer<unknown>>): Promise<void> {
  await answered(call);
}
