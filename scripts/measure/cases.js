// What scripts/bench runs: single cases of step_bench, and the whole program with its resident set watched.
"use strict";

const { execFileSync, spawn, spawnSync } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");

const root = process.env.SLIMMING_ROOT;
const stepBenchPath = path.join(root, "native", "build", "release", "slimming_step_bench");
const slimming = path.join(root, "artifacts", "slimming");
const spareBytes = 1 << 30;

let scratch = null;

/** A folder of this run, removed at its end. */
function scratchFolder() {
    scratch ??= fs.mkdtempSync(path.join(os.tmpdir(), "slimming-bench-"));
    return scratch;
}

function removeScratch() {
    if (scratch !== null) fs.rmSync(scratch, { recursive: true, force: true });
    scratch = null;
}

process.on("exit", removeScratch);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

const flags = options => Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);

function runStepBench(args, isa) {
    const env = isa === undefined ? process.env : { ...process.env, SLM_ISA: isa };
    const child = spawnSync(stepBenchPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], env });
    if (child.error) throw child.error;
    return child;
}

function checked(child, args) {
    if (child.status !== 0) throw new Error(`step_bench ${args.join(" ")} ended with ${child.signal ?? child.status}: ${child.stderr.trim()}`);
    return child.stdout;
}

/** One case in a process of its own, at the level that `isa` names; the object that step_bench --json prints. */
function stepBench({ forward = true, isa, ...options }) {
    const file = scratchFile(options);
    const args = [...flags({ ...options, file }), ...(forward ? [] : ["--no-forward"]), "--json"];
    return JSON.parse(checked(runStepBench(args, isa), args));
}

function peaks() {
    return JSON.parse(checked(runStepBench(["--peak", "--rounds", "2"]), ["--peak"]));
}

/** A GGUF file of random blocks in this run's folder, written on its first use; where room is short, others make way. */
function scratchFile({ shape, type, layers }) {
    const file = path.join(scratchFolder(), `${shape}-${layers ?? "all"}-${type}.gguf`);
    if (fs.existsSync(file)) return file;
    const free = () => {
        const { bavail, bsize } = fs.statfsSync(scratchFolder());
        return bavail * bsize;
    };
    const needed = (shape === "llama-3-8b" ? 6 : 3) * 2 ** 30 + spareBytes;
    if (free() < needed) {
        for (const old of fs.readdirSync(scratchFolder()).filter(name => name.endsWith(".gguf"))) fs.rmSync(path.join(scratchFolder(), old));
    }
    if (free() < needed) throw new Error(`${scratchFolder()}: ${Math.floor(free() / 2 ** 30)} GiB free, ${needed / 2 ** 30} GiB are needed; set TMPDIR`);
    const args = [...flags({ shape, type, file, ...(layers ? { layers } : {}) }), "--write"];
    checked(runStepBench(args), args);
    return file;
}

class Machine {
    constructor(fields) {
        Object.assign(this, fields);
    }

    static read(folder) {
        if (!fs.existsSync(slimming)) throw new Error(`${slimming} is missing; build it with: dotnet cake --target=Build`);
        const doctor = JSON.parse(execFileSync(slimming, ["doctor", "--json"], { encoding: "utf8" }));
        const git = (...args) => execFileSync("git", ["-C", folder, ...args], { encoding: "utf8" }).trim();
        const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
        const has = name => doctor.cpu.features.includes(name);
        return new Machine({
            cpu: doctor.cpu.name,
            cores: doctor.cpu.threads,
            isa: doctor.cpu.isa,
            modes: doctor.compute_modes,
            stepBar: has("avx512bf16") || has("amxbf16") ? 2.0 : has("avx512vnni") || has("avxvnni") ? 1.2 : 1.0,
            commit: git("rev-parse", "--short", "HEAD") + (changed ? " with changes" : ""),
            date: new Date().toISOString().slice(0, 10),
            peak: peaks(),
        });
    }

    line() {
        const middle = name => Math.max(...this.peak.rounds.map(round => round[name]));
        const rates = [["f32", "peak_f32"], ["bf16", "peak_bf16"], ["int8", "peak_int8"]]
            .filter(([, key]) => middle(key) > 0).map(([name, key]) => `${name} ${Math.round(middle(key))}`);
        return `${this.cpu}, ${this.cores} threads, ${this.isa}, commit ${this.commit}, ${this.date}; peak of register-only loops, 10^9 operations/s: ${rates.join(", ")}`;
    }
}

/** Rows of random ids, every one but the first a target. */
function writeTokens(file, { sequences, tokens, steps, vocabulary = 40000 }) {
    const out = fs.openSync(file, "w");
    let state = 1;
    for (let row = 0; row < sequences * steps; row++) {
        const ids = Array.from({ length: tokens }, () => (state = (state * 48271) % 2147483647) % vocabulary);
        fs.writeSync(out, `${JSON.stringify({ input_ids: ids, labels: ids })}\n`);
    }
    fs.closeSync(out);
}

/** `slimming train` on a model file: median tokens/s of its steps but the first, and its largest resident set. */
async function program({ model, name, compute, sequences, tokens, steps, plan = true }) {
    const data = path.join(scratchFolder(), "tokens.jsonl");
    const out = path.join(scratchFolder(), "run");
    writeTokens(data, { sequences, tokens, steps });
    const common = ["--model", model, "--data", data, "--out", out, "--compute", compute, "--batch-size", `${sequences}`, "--max-length", `${tokens}`];
    const predicted = JSON.parse(execFileSync(slimming, ["plan", ...common, "--json", ...(plan ? [] : ["--no-calibration"])], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
    const rss = await watched(slimming, ["train", ...common, "--force"]);
    const rows = fs.readFileSync(path.join(out, "metrics.jsonl"), "utf8").trim().split("\n").map(line => JSON.parse(line)).filter(row => row.loss !== undefined && row.loss !== null);
    if (rows.length !== steps) throw new Error(`${name ?? model}: ${rows.length} steps, expected ${steps}`);
    const rates = rows.slice(1).map(row => row.tokens_per_s).sort((a, b) => a - b);
    return {
        name: name ?? path.basename(model, ".gguf"),
        compute, sequences, tokens, rss,
        tokensPerSecond: rates[rates.length >> 1],
        predictedTokens: predicted.tokens_per_s ?? null,
        predictedBytes: predicted.needed_bytes,
        fileBytes: fs.statSync(model).size,
    };
}

/** Runs a command to its end; its VmHWM in bytes, which the kernel keeps itself, so seldom looking loses little. */
function watched(command, args) {
    return new Promise((resolve, reject) => {
        const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
        let largest = 0;
        let errors = "";
        child.stderr.on("data", text => (errors = (errors + text).slice(-2000)));
        const timer = setInterval(() => {
            try {
                const found = /^VmHWM:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${child.pid}/status`, "utf8"));
                if (found) largest = Number(found[1]) * 1024;
            } catch (error) {
                if (error.code !== "ENOENT" && error.code !== "ESRCH") throw error;
            }
        }, 50);
        const end = () => child.kill();
        process.once("exit", end);
        child.on("error", reject);
        child.on("exit", (code, signal) => {
            clearInterval(timer);
            process.removeListener("exit", end);
            if (code === 0) resolve(largest);
            else reject(new Error(`${path.basename(command)} ${args.join(" ")} ended with ${signal ?? code}: ${errors.trim()}`));
        });
    });
}

/**
 * Items a second of a log-likelihood task under one engine: the difference of two runs of other lengths, so that start and
 * loading cancel. Null where this build has no such engine.
 */
function engineRate({ model, dataDir, engine, few, many }) {
    const seconds = limit => {
        const out = path.join(scratchFolder(), `bench-${engine}-${limit}`);
        const args = ["bench", "--model", model, "--tasks", "hellaswag", "--data-dir", dataDir, "--limit", `${limit}`, "--out", out, "--engine", engine];
        const started = process.hrtime.bigint();
        const child = spawnSync(slimming, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
        if (child.error) throw child.error;
        if (child.status === 2 && child.stderr.includes("--engine")) return null;
        if (child.status !== 0) throw new Error(`slimming ${args.join(" ")} ended with ${child.signal ?? child.status}: ${child.stderr.trim()}`);
        return Number(process.hrtime.bigint() - started) / 1e9;
    };
    const [short, long] = [seconds(few), seconds(many)];
    return short === null ? null : (many - few) / (long - short);
}

module.exports = { Machine, engineRate, program, removeScratch, scratchFile, scratchFolder, stepBench, watched, writeTokens };
