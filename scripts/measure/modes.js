// The table behind --compute auto: a row for each level and weight type, with the speed of a training step in bf16 and int8
// over that in f32, and the fastest mode that auto may take.
"use strict";

const fs = require("fs");
const path = require("path");

const file = root => path.join(root, "src", "Slimming.Models", "compute-modes.tsv");
const head = "isa\ttype\tmode\tbf16\tint8";

// Modes that keep the bars against f32 on the reference runs (docs/performance.md), and how much faster one has to be.
const allowed = ["bf16", "int8"];
const gain = 1.15;

/** Rows of a level; step(type, mode) is a speed. */
function rowsOf(isa, types, step) {
    return types.map(type => {
        const ratio = Object.fromEntries(["bf16", "int8"].map(mode => [mode, (step(type, mode) / step(type, "f32")).toFixed(2)]));
        const fastest = allowed.reduce((best, mode) => (Number(ratio[mode]) > gain * Number(ratio[best] ?? 1) ? mode : best), "f32");
        return { isa, type, mode: fastest, ...ratio };
    });
}

function readModes(root) {
    const names = head.split("\t");
    const rows = fs.readFileSync(file(root), "utf8").trim().split("\n").slice(1)
        .map(line => Object.fromEntries(line.split("\t").map((cell, i) => [names[i], cell])));
    return new Map(rows.map(row => [`${row.isa} ${row.type}`, row]));
}

function writeModes(root, table) {
    const lines = [...table.values()].map(row => head.split("\t").map(name => row[name]).join("\t"));
    fs.writeFileSync(file(root), `${[head, ...lines].join("\n")}\n`);
}

module.exports = { readModes, rowsOf, writeModes };
