// Runs a chat template with the jinja package that was loaded before as `jinja`.
// Differences between that package and Jinja itself, as transformers configures it, are put right here.
"use strict";

// Python's str.strip takes these off; JavaScript's trim differs in U+001C-1F, U+0085 and U+FEFF.
const blank = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const leading = new RegExp("^" + blank + "+");
const trailing = new RegExp(blank + "+$");
String.prototype.trimStart = function () { return this.replace(leading, ""); };
String.prototype.trimEnd = function () { return this.replace(trailing, ""); };
String.prototype.trim = function () { return this.trimStart().trimEnd(); };

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
  "November", "December"];

// strftime of the C locale for the date that the caller fixed; time is midnight.
function strftime(format, date) {
  const two = (n) => (n < 10 ? "0" : "") + n;
  const fields = {
    Y: () => String(date.year), y: () => two(date.year % 100), m: () => two(date.month), d: () => two(date.day),
    e: () => String(date.day).padStart(2, " "), B: () => months[date.month - 1],
    b: () => months[date.month - 1].slice(0, 3), A: () => days[date.weekday], a: () => days[date.weekday].slice(0, 3),
    H: () => "00", I: () => "12", M: () => "00", S: () => "00", p: () => "AM", j: () => String(date.yearDay).padStart(3, "0"),
    F: () => date.year + "-" + two(date.month) + "-" + two(date.day), "%": () => "%",
  };
  return format.replace(/%(-?)(.)/gs, (all, plain, key) => {
    const field = fields[key];
    if (!field) throw new Error("strftime_now: '" + all + "' is not supported");
    return plain ? field().replace(/^[0 ]+(?=.)/, "") : field();
  });
}

function range(start, stop, step = 1) {
  if (stop === undefined) [start, stop] = [0, start];
  if (step === 0) throw new Error("range() arg 3 must not be zero");
  const values = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) values.push(i);
  return values;
}

// Says what a template calls that is not there.
class Interpreter extends jinja.Interpreter {
  evaluateCallExpression(node, environment) {
    try {
      return super.evaluateCallExpression(node, environment);
    } catch (error) {
      if (!String(error.message).startsWith("Cannot call something that is not a function")) throw error;
      const callee = node.callee.property ?? node.callee;
      throw new Error("'" + (callee.value ?? callee.type) + "' is no function or method that is supported");
    }
  }
}

let parsed;

// trim_blocks and lstrip_blocks, as transformers sets them.
function load(source) {
  parsed = jinja.parse(jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
}

// Answers JSON: {"text": ...}, or {"raised": ...} where the template itself refused.
function render(input) {
  const given = JSON.parse(input);
  const env = new jinja.Environment();
  let raised;
  const globals = {
    true: true, True: true, false: false, False: false, none: null, None: null, tools: null, documents: null, range,
    raise_exception: (message) => { raised = String(message); throw new Error(raised); },
    strftime_now: (format) => strftime(format, given.date),
    ...given.variables,
  };
  for (const [name, value] of Object.entries(globals)) env.set(name, value);
  try {
    return JSON.stringify({ text: new Interpreter(env).run(parsed).value });
  } catch (error) {
    if (raised === undefined) throw error;
    return JSON.stringify({ raised });
  }
}
