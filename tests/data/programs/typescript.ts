import type { Clock } from "./clock.js";
import { readFile } from "node:fs/promises";

export type Result<T, E extends Error = Error> =
  | { readonly ok: true; value: T }
  | { readonly ok: false; error: E };

type Keys<T> = { [K in keyof T as `get${Capitalize<string & K>}`]?: () => T[K] };
type Unwrapped<T> = T extends Promise<infer U> ? U : never;

enum Level {
  Low = 1 << 0,
  High = "high".length,
}

abstract class Store<T extends object> implements AsyncIterable<T> {
  static #count = 0;
  declare readonly tag: unique symbol;

  constructor(private readonly items: Map<string, T>, protected clock?: Clock) {
    Store.#count++;
  }

  abstract load(path: string): Promise<Result<T>>;

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (const [, item] of this.items) yield item;
  }

  get size(): number {
    return this.items?.size ?? 0;
  }
}

export const parsed = async <T,>(path: string, guard: (x: unknown) => x is T): Promise<T | null> => {
  const text = await readFile(path, { encoding: "utf8" });
  const value = JSON.parse(text) as unknown;
  if (!guard(value)) return null;
  const { a, ...rest } = value as Record<string, unknown>;
  console.log(`${path}: ${/^[a-z/]+$/i.test(text) ? a! : rest}`);
  return value satisfies T;
};

export function pick(level: Level): string;
export function pick(level: Level, fallback?: string): string {
  const old = <any>level;
  return [...Object.entries({ level, old })].map(([k, v]) => k + v).join() || (fallback ??= "none");
}

declare global {
  interface Window { cato: Keys<Store<{ id: bigint }>> }
}
export default Level;
