// Writes what the package has from elsewhere in the repository; `npm run build` runs it.
//
//     src/generated.ts    the types of jobs and events, from the JSON Schemas in docs/reference
//     src/scripts.ts      the scripts that read lists of events in Redis, from the Python client

import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)));
const SCHEMAS = join(PACKAGE, "../../docs/reference");
const READING = join(PACKAGE, "../python/src/callworker/reading");
const OPTIONS = { bannerComment: "", additionalProperties: false, style: { printWidth: 110 } };

async function schema(file) {
  return JSON.parse(await readFile(join(SCHEMAS, file), "utf8"));
}

/** The fields of a job. They are a definition of the schema, which also says that plain JSON needs an `id`. */
async function job() {
  const { description, $defs } = await schema("job.schema.json");
  return compile({ description, ...$defs.fields, additionalProperties: false }, "Job", OPTIONS);
}

/** "job-event.schema.json" → "JobEvent". The events of calls, which most programs read, have no word before. */
function title(file) {
  const words = file === "event.schema.json" ? ["call", "event"] : file.split(".")[0].split("-");
  return words.map((word) => word[0].toUpperCase() + word.slice(1)).join("");
}

const files = (await readdir(SCHEMAS)).filter((file) => file.endsWith("event.schema.json")).sort();
const events = await Promise.all(
  files.map(async (file) => compile({ ...(await schema(file)), title: title(file) }, title(file), OPTIONS)),
);
const any = `/** An event of any type that callworker publishes. */\nexport type CallworkerEvent = ${files.map(title).join(" | ")};\n`;
await writeFile(join(PACKAGE, "src/generated.ts"), [await job(), ...events, any].join("\n"));

const texts = {};
for (const name of ["make_own", "take_own", "take_durable"]) {
  texts[name] = await readFile(join(READING, `${name}.lua`), "utf8");
}
await writeFile(join(PACKAGE, "src/scripts.ts"), `export const scripts = ${JSON.stringify(texts, null, 2)};\n`);
