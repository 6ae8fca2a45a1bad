// The parts of scripts/bench: each measures its cases, prints a table and judges its bars.
"use strict";

const fs = require("fs");
const path = require("path");
const { Machine, engineRate, program, stepBench, removeScratch, scratchFile } = require("./cases.js");
const { readModes, rowsOf, writeModes } = require("./modes.js");
const { Report, fixed, mebi, median, spread } = require("./tables.js");

const help = `scripts/bench [--only PART,...] [--all] [--compute MODE,...] [--rounds N] [--passes N] [--write]

  Without --only the parts speed, threads and program run, one to two minutes on a quiet machine.
  --all runs every part; large writes 5 GB beside the other temporary files (TMPDIR).

  speed     training step and forward of the 135M shape in every mode, share of time per phase
  threads   one against two threads
  program   resident set of the whole program, tokens/s that slimming plan predicts against those measured
  types     every block type on four layers of Llama-3.2-1B
  shapes    Llama-3.2-1B and Gemma-2B
  long      one sequence of 4,096 tokens against sequences of 256
  engine    bench --engine native against libllama on HellaSwag (needs the reference data)
  large     two steps of the Llama-3-8B shape
  modes     every mode at every type, for the table behind --compute auto: checks it, with --write fills its rows

  --compute MODE,...  modes to measure (default: every mode that this build and machine have)
  --isa LEVEL,...     levels of the part modes (default: this machine's best), named as SLM_ISA names them
  --rounds N          measured rounds of a case in a pass (default 3), each with the peak loops beside the work
  --passes N          passes over the cases of a part, so that a slow minute does not meet one case alone (default 1)
  --write             append the tables to docs/measurements.md`;

const quick = ["speed", "threads", "program"];
const parts = { speed, threads, program: wholeProgram, types, shapes, long, engine, large, modes };
const blockTypes = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k", "iq4_nl", "f16", "bf16"];

function parseOptions(args) {
    const options = { only: quick, rounds: 3, passes: 1, write: false, compute: null, isa: null };
    const whole = (name, text) => {
        if (!/^[1-9][0-9]*$/.test(text ?? "")) stop(`${name}: expected a number from 1, found ${text}`);
        return Number(text);
    };
    for (let i = 0; i < args.length; i++) {
        switch (args[i]) {
            case "--help":
            case "-h":
                console.log(help);
                process.exit(0);
            case "--all": options.only = Object.keys(parts); break;
            case "--only": options.only = (args[++i] ?? "").split(","); break;
            case "--compute": options.compute = (args[++i] ?? "").split(","); break;
            case "--isa": options.isa = (args[++i] ?? "").split(","); break;
            case "--rounds": options.rounds = whole("--rounds", args[++i]); break;
            case "--passes": options.passes = whole("--passes", args[++i]); break;
            case "--write": options.write = true; break;
            default: stop(`unknown option ${args[i]}\n\n${help}`);
        }
    }
    const unknown = options.only.find(name => !(name in parts));
    if (unknown !== undefined) stop(`--only: unknown part '${unknown}', expected some of ${Object.keys(parts).join(", ")}`);
    return options;
}

function stop(message) {
    console.error(message);
    process.exit(2);
}

// ---- measuring ----

/** Rounds of every case, in passes over all of them. A case is a record of step_bench's options. */
function measure(run, cases) {
    const results = new Map();
    for (let pass = 0; pass < run.options.passes; pass++) {
        for (const one of cases) {
            const found = stepBench({ rounds: run.options.rounds, ...one });
            const known = results.get(one);
            if (known) known.rounds.push(...found.rounds);
            else results.set(one, found);
        }
    }
    return cases.map(one => summary(results.get(one)));
}

/** Medians over rounds; each round is divided by its own peak, so that a slow moment counts on both sides. */
function summary(result) {
    const tokens = result.sequences * result.tokens;
    const rounds = result.rounds;
    const per = seconds => rounds.filter(r => r[seconds] > 0).map(r => tokens / r[seconds] / r.peak_f32);
    const speed = seconds => median(rounds.filter(r => r[seconds] > 0).map(r => tokens / r[seconds]));
    return {
        ...result,
        peakF32: median(rounds.map(r => r.peak_f32)),
        step: median(per("step_seconds")),
        stepSpread: spread(per("step_seconds")),
        forward: median(per("forward_seconds")),
        stepTokens: speed("step_seconds"),
        forwardTokens: speed("forward_seconds"),
        operations: median(per("step_seconds")) * result.flops_per_token / 1e9,
        faults: median(rounds.map(r => r.minor_faults)),
        sleeps: median(rounds.map(r => r.voluntary_switches)),
        rss: result.peak_rss_kib * 1024,
        perCpuSecond: median(rounds.map(r => tokens / r.cpu_seconds)),
        secondsPerToken: median(rounds.map(r => r.step_seconds * r.peak_f32)) / tokens,
    };
}

const speedColumns = ["shape", "type", "mode", "work", "step tokens/s", "per peak GFLOP/s", "rounds", "operations / f32 peak",
    "forward tokens/s", "per peak GFLOP/s", "peak RSS", "faults a step", "sleeps a step"];

function speedRow(result) {
    return [
        result.shape, result.type, result.compute, `${result.sequences} x ${result.tokens}, ${result.threads} threads`,
        fixed(result.stepTokens, 0), fixed(result.step, 3), result.stepSpread, fixed(result.operations, 2),
        result.forwardTokens ? fixed(result.forwardTokens, 0) : "-", result.forwardTokens ? fixed(result.forward, 2) : "-",
        mebi(result.rss), fixed(result.faults, 0), fixed(result.sleeps, 0),
    ];
}

function phaseTable(run, results) {
    const measured = results.filter(result => result.rounds[0].phases);
    if (measured.length === 0) return;
    const names = Object.keys(measured[0].rounds[0].phases);
    run.report.table("share of a step's time, and GB/s of the operands that the operations name",
        ["shape", "type", "mode", "work", ...names],
        measured.map(result => [result.shape, result.type, result.compute, `${result.sequences} x ${result.tokens}`,
            ...names.map(name => phaseCell(result.rounds, name))]));
}

function phaseCell(rounds, name) {
    const share = median(rounds.map(r => r.phases[name].seconds / r.step_seconds));
    const rate = median(rounds.map(r => r.phases[name].bytes / Math.max(r.phases[name].seconds, 1e-9) / 1e9));
    return `${fixed(share * 100, 1)} %, ${fixed(rate, 1)}`;
}

const attentionShare = round => round.phases.attention.seconds / round.step_seconds;
const best = (results, key) => results.reduce((a, b) => (b[key] > a[key] ? b : a));
const of = (results, mode) => results.find(result => result.compute === mode);

// ---- parts ----

const small = { shape: "smollm2-135m", type: "q4_1" };

function speed(run) {
    const train = run.modes.map(compute => ({ ...small, compute, sequences: 4, tokens: 256 }));
    const prefill = run.modes.map(compute => ({ ...small, compute, sequences: 4, tokens: 128 }));
    const results = measure(run, [...train, ...prefill]);
    const steps = results.slice(0, train.length);
    const forwards = results.slice(train.length);
    run.report.table("training step and forward, every position a target, LoRA rank 16 on 7 linears", speedColumns, results.map(speedRow));
    phaseTable(run, steps);
    const fast = best(steps, "step");
    run.report.bar("SmolLM2-135M shape, 4 x 256, best mode", `>= ${run.machine.stepBar} tokens/s per peak f32 GFLOP/s`,
        `${fixed(fast.step, 2)} (${fast.compute})`, fast.step >= run.machine.stepBar);
    const f32 = of(steps, "f32");
    if (f32) run.report.bar("the same in f32", ">= 1.0", fixed(f32.step, 2), f32.step >= 1.0);
    const prefilled = best(forwards, "forward");
    run.report.bar("forward only, 4 x 128, all logits, best mode", ">= 4.0 tokens/s per peak f32 GFLOP/s",
        `${fixed(prefilled.forward, 2)} (${prefilled.compute})`, prefilled.forward >= 4.0);
    const faults = Math.max(...steps.map(result => result.faults));
    run.report.bar("page faults of a step after warm-up", "0", fixed(faults, 0), faults === 0);
}

function threads(run) {
    if (run.machine.cores < 2) {
        run.report.note("threads: one usable core, nothing to compare");
        return;
    }
    const cases = run.modes.flatMap(compute => [1, 2].map(n => ({ ...small, compute, sequences: 4, tokens: 256, threads: n, forward: false })));
    const results = measure(run, cases);
    const rows = run.modes.map(mode => {
        const [one, two] = [1, 2].map(n => results.find(result => result.compute === mode && result.threads === n));
        return { mode, own: two.stepTokens / one.stepTokens, peak: two.peakF32 / one.peakF32, trip: median(two.rounds.map(r => r.line_round_trip)) };
    });
    run.report.table("two threads against one", ["mode", "step", "peak loop", "step / peak loop", "a cache line to the other core and back, ns"],
        rows.map(row => [row.mode, fixed(row.own, 2), fixed(row.peak, 2), fixed(row.own / row.peak, 3), fixed(row.trip, 0)]));
    const worst = rows.reduce((a, b) => (b.own / b.peak < a.own / a.peak ? b : a));
    run.report.bar("1 to 2 threads, slowest mode", ">= 0.93 of the peak loop's scaling", `${fixed(worst.own / worst.peak, 3)} (${worst.mode})`,
        worst.own / worst.peak >= 0.93);
}

async function wholeProgram(run) {
    const real = path.join(run.shared, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");
    const model = fs.existsSync(real) ? real : scratchFile(small);
    if (model !== real) run.report.note(`program: ${real} is missing, a file of random blocks stands in for it`);
    const rows = [];
    for (const mode of run.modes) rows.push(await program({ model, compute: mode, sequences: 4, tokens: 256, steps: 6 }));
    const fast = best(rows, "tokensPerSecond").compute;
    const long = [];
    for (const mode of run.modes) long.push(await program({ model, compute: mode, sequences: 1, tokens: 4096, steps: 2 }));
    programTable(run, [...rows, ...long]);
    const full = rows.find(row => row.compute === fast && row.tokens === 256);
    run.report.bar("SmolLM2-135M, 4 x 256, whole program", "<= 400 MiB", `${mebi(full.rss)} (${fast})`, full.rss <= 400 * 1048576);
    const largest = best(long, "rss");
    run.report.bar("one sequence of 4,096 tokens, whole program", "<= 800 MiB", `${mebi(largest.rss)} (${largest.compute})`, largest.rss <= 800 * 1048576);
}

function programTable(run, rows) {
    run.report.table("artifacts/slimming train, every position a target",
        ["model", "mode", "work", "tokens/s", "plan predicted", "error", "peak RSS", "plan predicted", "file"],
        rows.map(row => [row.name, row.compute, `${row.sequences} x ${row.tokens}`, fixed(row.tokensPerSecond, 0),
            row.predictedTokens ? fixed(row.predictedTokens, 0) : "-",
            row.predictedTokens ? `${fixed((row.predictedTokens / row.tokensPerSecond - 1) * 100, 1)} %` : "-",
            mebi(row.rss), mebi(row.predictedBytes), mebi(row.fileBytes)]));
}

function types(run) {
    const cases = run.modes.flatMap(compute => blockTypes.map(type => ({ shape: "blocks-1b", type, compute, sequences: 2, tokens: 256, forward: false })));
    const results = measure(run, cases);
    run.report.table("block types: four layers of Llama-3.2-1B with a vocabulary of 8,192",
        ["type", ...run.modes.map(mode => `${mode}, operations / f32 peak`), ...run.modes.map(mode => `${mode}, of q4_0`)],
        blockTypes.map(type => {
            const own = run.modes.map(mode => results.find(result => result.type === type && result.compute === mode));
            const line = run.modes.map(mode => results.find(result => result.type === "q4_0" && result.compute === mode));
            return [type, ...own.map(result => fixed(result.operations, 2)), ...own.map((result, i) => fixed(result.step / line[i].step, 2))];
        }));
    const shares = results.map(result => ({ result, share: result.step / results.find(r => r.type === "q4_0" && r.compute === result.compute).step }));
    const slowest = shares.reduce((a, b) => (b.share < a.share ? b : a));
    run.report.bar("slowest of 11 block types in any mode", ">= 0.6 of q4_0", `${fixed(slowest.share, 2)} (${slowest.result.type}, ${slowest.result.compute})`,
        slowest.share >= 0.6);
}

async function shapes(run) {
    const llama = run.modes.map(compute => ({ shape: "llama-3.2-1b", type: "q4_0", compute, sequences: 2, tokens: 512, forward: false, file: true }));
    const gemma = run.modes.map(compute => ({ shape: "gemma-2b", type: "q4_0", compute, sequences: 1, tokens: 512, forward: false, file: true }));
    const results = measure({ ...run, options: { ...run.options, passes: 1 } }, [...llama, ...gemma]);
    run.report.table("larger shapes", speedColumns, results.map(speedRow));
    phaseTable(run, results);
    const own = results.slice(0, llama.length);
    const fast = best(own, "operations");
    run.report.bar("Llama-3.2-1B shape Q4_0, 2 x 512, best mode", "operations >= 1.2 x the f32 peak", `${fixed(fast.operations, 2)} (${fast.compute})`, fast.operations >= 1.2);
    const f32 = of(own, "f32");
    if (f32) run.report.bar("the same in f32", ">= 0.65 x the f32 peak", fixed(f32.operations, 2), f32.operations >= 0.65);
    const whole = await program({ model: scratchFile({ shape: "llama-3.2-1b", type: "q4_0" }), name: "llama-3.2-1b q4_0", compute: fast.compute, sequences: 2, tokens: 512, steps: 2 });
    programTable(run, [whole]);
    run.report.bar("the same, whole program in the best mode", "<= file + 700 MiB", `file + ${mebi(whole.rss - whole.fileBytes)}`, whole.rss - whole.fileBytes <= 700 * 1048576);
}

function long(run) {
    const all = measure(run, run.modes.flatMap(compute => [256, 4096].map(tokens => ({ ...small, compute, sequences: 4096 / tokens, tokens, forward: false }))));
    run.report.table("one sequence of 4,096 tokens against sequences of 256", speedColumns, all.map(speedRow));
    phaseTable(run, all);
    for (const mode of run.modes) growth(run, mode, all.filter(result => result.compute === mode));
}

function growth(run, mode, results) {
    // Two products forward and five backward over n_head * head_dim values and half of T keys, in every layer.
    const attention = tokens => 7 * 576 * tokens * 30;
    const expected = (results[1].flops_per_token + attention(4096)) / (results[0].flops_per_token + attention(256));
    const measured = results[1].secondsPerToken / results[0].secondsPerToken;
    run.report.bar(`time per token at 4,096 over 256, ${mode}`, `<= ${fixed(expected, 2)}, the growth of operations`, fixed(measured, 2), measured <= expected);
    // What a sequence of 4,096 could keep for its backward does not fit into 800 MiB: all layers compute q, k, v, gate
    // and up again, and those without room for attention's output that too (in f32 all but the last product).
    const again = 30 * (576 * 576 + 2 * 576 * 192 + 2 * 576 * 1536 + (mode === "f32" ? 576 * 576 : 0));
    const scored = results[1].rounds[0].phases.attention.calls / 30 - 2;
    const rest = (results[1].flops_per_token + 2 * again) / results[0].flops_per_token;
    const inner = 16 * (1 + scored * 2 / 7);
    const done = (results[1].flops_per_token + 2 * again + inner * attention(256)) / (results[0].flops_per_token + attention(256));
    run.report.bar("the same, with what is computed again", `<= ${fixed(done, 2)}, the growth of operations done`, fixed(measured, 2), measured <= done);
    const [inside, outside] = [attentionShare, r => 1 - attentionShare(r)].map(part => {
        const [short, whole] = results.map(result => result.secondsPerToken * median(result.rounds.map(part)));
        return whole / short;
    });
    run.report.bar("attention's part of it", `<= ${fixed(inner, 1)}, the growth of its operations`, fixed(inside, 1), inside <= inner);
    run.report.bar("all the rest of it", `<= ${fixed(rest, 2)}, the growth of its operations`, fixed(outside, 2), outside <= rest);
}

function engine(run) {
    const model = path.join(run.shared, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");
    const dataDir = path.join(run.shared, "data");
    if (!fs.existsSync(model) || !fs.existsSync(path.join(dataDir, "hellaswag"))) {
        run.report.note(`engine: ${model} or ${dataDir}/hellaswag is missing, nothing to score`);
        return;
    }
    const rates = Object.fromEntries(["libllama", "native"].map(name => [name, engineRate({ model, dataDir, engine: name, few: 8, many: 40 })]));
    if (rates.native === null) {
        run.report.note("engine: this build has no --engine native");
        return;
    }
    run.report.table("HellaSwag, 32 items", ["engine", "items/s"], Object.entries(rates).map(([name, rate]) => [name, fixed(rate, 2)]));
    run.report.bar("bench --engine native on HellaSwag", ">= 4 x libllama", fixed(rates.native / rates.libllama, 2), rates.native >= 4 * rates.libllama);
}

async function large(run) {
    const mode = run.modes.at(-1);
    const whole = await program({ model: scratchFile({ shape: "llama-3-8b", type: "q4_k_m" }), name: "llama-3-8b q4_k_m", compute: mode, sequences: 1, tokens: 512, steps: 2, plan: false });
    programTable(run, [whole]);
    run.report.bar("Llama-3-8B shape Q4_K mix, 1 x 512, two steps of the whole program", "<= file + 2,560 MiB", `file + ${mebi(whole.rss - whole.fileBytes)} (${mode})`,
        whole.rss - whole.fileBytes <= 2560 * 1048576);
}

/** One layer is enough: unpacking and products repeat in every one. One thread and its own processor time: such ratios hold on a busy machine too. */
function modes(run) {
    const table = readModes(run.root);
    for (const isa of run.options.isa ?? [run.machine.isa]) {
        const cases = blockTypes.flatMap(type => ["f32", "bf16", "int8"].map(compute => (
            { shape: "blocks-1b", type, layers: 1, compute, isa, sequences: 1, tokens: 256, threads: 1, forward: false })));
        const results = measure(run, cases).map((result, i) => ({ ...result, type: cases[i].type, compute: cases[i].compute }));
        const rows = rowsOf(isa, blockTypes, (type, mode) => results.find(r => r.type === type && r.compute === mode).perCpuSecond);
        run.report.table(`modes against f32 at level ${isa}`, ["type", "bf16", "int8", "fastest that auto may take", "table"],
            rows.map(row => [row.type, row.bf16, row.int8, row.mode, table.get(`${isa} ${row.type}`)?.mode ?? "-"]));
        const lost = rows.filter(row => Number(row[table.get(`${isa} ${row.type}`)?.mode] ?? 1) < 0.9 * Number(row[row.mode] ?? 1));
        if (!run.options.write) run.report.bar(`the table's mode at level ${isa}`, ">= 0.9 of the fastest", lost.map(row => row.type).join(", ") || "all", lost.length === 0);
        for (const row of rows) table.set(`${isa} ${row.type}`, row);
    }
    if (run.options.write) writeModes(run.root, table);
}

async function main() {
    const options = parseOptions(process.argv.slice(2));
    const root = process.env.SLIMMING_ROOT;
    const machine = Machine.read(root);
    const modes = options.compute ?? machine.modes;
    const missing = modes.find(mode => !machine.modes.includes(mode));
    if (missing !== undefined) stop(`--compute: ${missing} cannot be measured here, only ${machine.modes.join(", ")}`);
    const report = new Report(machine);
    const run = { options, machine, modes, report, root, shared: process.env.SLIMMING_SHARED };
    report.note(machine.line());
    try {
        for (const name of options.only) await parts[name](run);
    } finally {
        removeScratch();
    }
    report.printBars();
    if (options.write) report.append(path.join(root, "docs", "measurements.md"), process.argv.slice(2).filter(arg => arg !== "--write"));
}

main().catch(error => stop(error.message));
