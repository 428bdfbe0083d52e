import fs, { promises as files } from "node:fs";
export * from "./other.js";

const SIZES = Object.freeze({ small: 1_000, large: 10n ** 3n });

export class Cache extends Map {
  static #shared;
  #hits = 0;

  static {
    Cache.#shared ??= new Cache();
  }

  get(key, fallback = () => null) {
    if (this.has(key)) {
      this.#hits += 1;
      return super.get(key);
    }
    return fallback?.(key) ?? this.#shared?.[key];
  }

  async *lines(path) {
    for await (const chunk of fs.createReadStream(path, "utf8")) {
      yield* chunk.split(/\r?\n/u).filter(Boolean);
    }
  }
}

export default async function main({ path = "in.txt", ...rest } = {}) {
  const cache = new Cache([["a", 1]]);
  label: for (let i = 0, n = SIZES.small; i < n; i++) {
    switch (i % 3) {
      case 0:
        continue label;
      default:
        break label;
    }
  }
  try {
    const [first, , third] = await Promise.all([files.readFile(path), 2, 3]);
    console.log(`read ${first.length} and ${third ? `more: ${JSON.stringify(rest)}` : ""}`);
  } catch {
    return cache.get("b", (key) => ({ [key]: 1 }));
  } finally {
    delete rest.debug;
  }
  const view = <ul>{Object.keys(rest).map((key) => <li key={key}>{key}</li>)}</ul>;
  return view;
}
