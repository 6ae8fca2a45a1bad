// Tables and bars of scripts/bench: text on the terminal, the same rows as Markdown for docs/measurements.md.
"use strict";

const fs = require("fs");

const fixed = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : "-");
const mebi = bytes => (Number.isFinite(bytes) ? `${Math.round(bytes / 1048576).toLocaleString("en-US")} MiB` : "-");

function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length === 0 ? NaN : sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const spread = values => (values.length === 0 ? "-" : `${fixed(Math.min(...values), 2)} to ${fixed(Math.max(...values), 2)}`);

class Report {
    constructor(machine) {
        this.machine = machine;
        this.markdown = [];
        this.bars = [];
    }

    note(text) {
        console.log(text);
    }

    table(title, columns, rows) {
        const widths = columns.map((column, i) => Math.max(column.length, ...rows.map(row => row[i].length)));
        const line = cells => cells.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd();
        console.log(`\n${title}\n${line(columns)}\n${widths.map(width => "-".repeat(width)).join("  ")}`);
        for (const row of rows) console.log(line(row));
        this.markdown.push(`${title}:\n\n${markdownTable(columns, rows)}`);
    }

    bar(what, bar, measured, met) {
        this.bars.push([what, bar, measured, met ? "met" : "not met"]);
    }

    printBars() {
        if (this.bars.length > 0) this.table("bars", ["what", "bar", "measured", ""], this.bars);
    }

    append(file, args) {
        const command = ["scripts/bench", ...args].join(" ");
        const text = `\n## \`${command}\`, ${this.machine.date}\n\n${this.machine.line()}.\n\n${this.markdown.join("\n\n")}\n`;
        fs.appendFileSync(file, text);
        console.log(`\nappended to ${file}`);
    }
}

function markdownTable(columns, rows) {
    const line = cells => `| ${cells.join(" | ")} |`;
    return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

module.exports = { Report, fixed, mebi, median, spread };
