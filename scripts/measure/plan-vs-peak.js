// The twelve shapes of plan-vs-peak.sh: planned bytes, the largest resident set, and their ratio.
"use strict";

const { execFileSync } = require("child_process");
const fs = require("fs");
const path = require("path");

const { removeScratch, scratchFile, scratchFolder, watched, writeTokens } = require("./cases.js");

const { SLIMMING_ROOT: root, SLIMMING_SHARED: shared, SLIMMING: slimming } = process.env;
const smol = path.join(shared, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");
const tolerance = 0.1;

/** Rows of random ids; one step of `batch` rows of `tokens`. */
const ids = (batch, tokens, ...options) => ({ batch, tokens, options });

const shapes = [
    { name: "smol-bf16-4x256", model: smol, data: ids(4, 256, "--compute", "bf16") },
    { name: "smol-f32-4x256", model: smol, data: ids(4, 256, "--compute", "f32") },
    { name: "smol-int8-2x512-r8", model: smol, data: ids(2, 512, "--compute", "int8", "--rank", "8") },
    { name: "smol-bf16-1x2048-r64", model: smol, data: ids(1, 2048, "--compute", "bf16", "--rank", "64") },
    { name: "smol-bf16-8x128-qv-r4", model: smol, data: ids(8, 128, "--compute", "bf16", "--rank", "4", "--targets", "q,v") },
    { name: "smol-bf16-micro128", model: smol, data: ids(4, 256, "--compute", "bf16", "--micro-batch-tokens", "128") },
    { name: "smol-full-1x128", model: smol, data: ids(1, 128, "--method", "full") },
    { name: "smol-alpaca-eval", model: smol, rows: "alpaca_1000.json", options: ["--eval-fraction", "0.02", "--template", "alpaca", "--compute", "bf16", "--steps", "1"] },
    { name: "135m-f16-f32-4x128", write: { shape: "smollm2-135m", type: "f16" }, data: ids(4, 128, "--compute", "f32") },
    { name: "1b-q4_0-bf16-2x512", write: { shape: "llama-3.2-1b", type: "q4_0" }, data: ids(2, 512, "--compute", "bf16") },
    { name: "1b-q8_0-int8-1x256", write: { shape: "llama-3.2-1b", type: "q8_0" }, data: ids(1, 256, "--compute", "int8") },
    // So small that a single step would measure little but the start of the runtime.
    { name: "demo-f32-8x128", model: path.join(root, "scripts", "demo", "model.gguf"), vocabulary: 400, data: { ...ids(8, 128), steps: 100 } },
];

async function run({ name, model, write, vocabulary, data, rows, options }) {
    const file = model ?? scratchFile(write);
    const out = path.join(scratchFolder(), "run");
    const args = ["--model", file, "--out", out];
    if (data) {
        const drawn = path.join(scratchFolder(), "rows.jsonl");
        writeTokens(drawn, { sequences: data.batch, tokens: data.tokens, steps: data.steps ?? 1, vocabulary });
        args.push("--data", drawn, "--batch-size", `${data.batch}`, "--max-length", `${data.tokens}`, ...data.options);
    } else {
        args.push("--data", path.join(shared, "data", "alpaca", rows), ...options);
    }
    const plan = JSON.parse(execFileSync(slimming, ["plan", ...args, "--json", "--no-calibration"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
    const peak = await watched(slimming, ["train", ...args, "--force"]);
    return { name, file: fs.statSync(file).size, planned: plan.needed_bytes, peak };
}

async function main() {
    const wanted = process.argv.slice(2);
    const unknown = wanted.find(name => shapes.every(shape => shape.name !== name));
    if (unknown !== undefined) throw new Error(`${unknown}: expected some of ${shapes.map(shape => shape.name).join(", ")}`);
    const mebi = bytes => (bytes / 1048576).toFixed(0);
    let off = 0;
    console.log("\n| shape | file | planned | peak | planned / peak |\n|---|---:|---:|---:|---:|");
    for (const shape of shapes.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
        const { name, file, planned, peak } = await run(shape);
        const ratio = planned / peak;
        if (!(Math.abs(ratio - 1) <= tolerance)) off++;
        console.log(`| ${name} | ${mebi(file)} MiB | ${mebi(planned)} MiB | ${mebi(peak)} MiB | ${ratio.toFixed(3)} |`);
    }
    if (off > 0) throw new Error(`${off} of them differ by more than ${tolerance * 100} %`);
}

main().catch(error => {
    console.error(error.message);
    process.exitCode = 1;
}).finally(removeScratch);
