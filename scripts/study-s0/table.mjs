// The study's table in Markdown, from `slimming compare --json` of every group of tasks. Arguments: the program, the study's folder.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [program, folder] = process.argv.slice(2);
const groups = [
  { name: "zero", shots: "0" },
  { name: "five", shots: "5" },
  { name: "sums", shots: "5" },
];
const percent = (score) => `${(100 * score.value).toFixed(2)} ± ${score.stderr == null ? "-" : (100 * score.stderr).toFixed(2)}`;
const p = (value) => (value == null ? "-" : value < 0.0001 ? "< 0.0001" : value.toFixed(4));
const measure = (found) =>
  found == null ? "-" : `${found.name} ${found.value.toFixed(2)} ± ${found.stderr.toFixed(2)} ${found.interval ? `[${found.interval.low.toFixed(2)}, ${found.interval.high.toFixed(2)}]` : "(no item changed)"}`;

const isDone = (results) =>
  existsSync(results) && readdirSync(results).some((run) => run.startsWith("run=") && existsSync(join(results, run, "DONE")));

console.log("| task | shots | BOS | metric | n | base | tuned, loss on all | | p | tuned, loss on answers | | p |");
console.log("|---|---|---|---|---:|---:|---:|---|---:|---:|---|---:|");
const overlaps = new Set();
for (const bos of ["plain", "bos"]) {
  for (const group of groups) {
    const place = (model) => join(folder, "results", `${group.name}-${bos}`, model);
    if (!["base", "all", "answer"].every((model) => isDone(place(model)))) continue;
    const args = ["compare", place("base"), place("all"), place("answer"), "--train-run", join(folder, "run-all"), "--json"];
    const found = JSON.parse(execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], maxBuffer: 1 << 30 }));
    const [all, answer] = found.runs;
    for (const task of all.overlap?.tasks ?? []) {
      overlaps.add(`${task.task} (${group.shots} shots): ${task.found.length} of ${task.items}, ${task.too_short} too short to look for`);
    }
    all.tasks.forEach((task, t) => {
      task.metrics.forEach((metric, m) => {
        const other = answer.tasks[t].metrics[m];
        const of = (study) => study.find((row) => row.metric === metric.metric);
        console.log(
          `| ${task.task} | ${group.shots} | ${bos === "bos" ? "yes" : "no"} | ${metric.metric}${metric.primary ? " *" : ""} | ${metric.n} | ${percent(metric.base)} `
          + `| ${percent(metric.tuned)} | ${measure(of(task.study))} | ${p(metric.p)} `
          + `| ${percent(other.tuned)} | ${measure(of(answer.tasks[t].study))} | ${p(other.p)} |`,
        );
      });
    });
  }
}
console.log("\nPer cent ± one standard error. FR: 100 (1 - tuned / base); delta A: tuned - base; delta K: base - tuned; each ± one paired standard error, with");
console.log("its 95 % interval. p: exact McNemar, two-sided, not adjusted for the number of tests. *: the task's primary metric.\n");
console.log("13 words in a row shared with the training rows:\n");
for (const line of overlaps) console.log(`- ${line}`);
