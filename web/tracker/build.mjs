// Builds the tracker into the folder that is its argument (default: where the service serves it from), as t.DIGEST.js.
// DIGEST is the beginning of the SHA-256 of the file, so a name never gets another content.
import { createHash } from "node:crypto";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, "../../services/ingest/tracker"));

const { outputFiles } = await build({
  entryPoints: [join(here, "src/main.ts")],
  absWorkingDir: here,
  bundle: true,
  format: "iife",
  target: "es2019",
  charset: "utf8",
  minify: true,
  legalComments: "none",
  write: false,
});
const { contents } = outputFiles[0];
const name = `t.${createHash("sha256").update(contents).digest("hex").slice(0, 12)}.js`;
for (const old of readdirSync(folder)) if (/^t\.[0-9a-f]+\.js$/.test(old)) rmSync(join(folder, old));
writeFileSync(join(folder, name), contents);
console.log(`${join(folder, name)}: ${contents.length} bytes`);
