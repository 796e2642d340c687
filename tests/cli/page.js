// Runs web/arena/arena.js over a document that is no more than what the page uses of one, and an
// arena that knows one key and one level. Headers are checked as a browser does.
"use strict";
const fs = require("fs");
const vm = require("vm");

const KEY = "bv-" + "0123456789abcdef".repeat(4);
// [statement, what Markdown has for it]
const STATEMENTS = [
  ["[page](https://example.org/a_(b)?c=1 \"title\") and [next](#/level/add), <http://example.org>",
    "<p><a href=https://example.org/a_(b)?c=1>page</a> and <a href=#/level/add>next</a>, " +
    "<a href=http://example.org>http://example.org</a></p>"],
  // What a browser would run, or reads as an address that it runs, stays text.
  ["[x](javascript:alert(1)) [x](JaVaScRiPt:alert(1)) [x](\u0001javascript:alert(1)) " +
    "[x](data:text/html,x) [x](vbscript:x) [x](https://[)",
    "<p>[x](javascript:alert(1)) [x](JaVaScRiPt:alert(1)) [x](\u0001javascript:alert(1)) " +
    "[x](data:text/html,x) [x](vbscript:x) [x](https://[)</p>"],
  ["![a picture](https://example.org/a.png)",
    "<p><a href=https://example.org/a.png>a picture</a></p>"],
  ["**bold `a*b` and *more*** [**b** [x](y)](z)", null],
  ["**bold and `code`** *and [a `b`](c)* snake_case_name _it_ __that__ \\*no\\* `\\*`",
    "<p><strong>bold and <code>code</code></strong> <em>and <a href=c>a <code>b</code></a></em> " +
    "snake_case_name <em>it</em> <strong>that</strong> *no* <code>\\*</code></p>"],
  ["before\n| a | `b` |\n|:--|--:|\n| 1 | 2 \\| 3 | lost |\n| 4\n\nafter",
    "<p>before</p><div><table><thead><tr><th>a</th><th class=number><code>b</code></th></tr>" +
    "</thead><tbody><tr><td>1</td><td class=number>2 | 3</td></tr><tr><td>4</td></tr></tbody>" +
    "</table></div><p>after</p>"],
  ["a | b\n--- | ---\n# c", "<div><table><thead><tr><th>a</th><th>b</th></tr></thead>" +
    "<tbody></tbody></table></div><h2>c</h2>"],
  ["a | b\n--- | --- | ---\n| c", "<p>a | b --- | --- | --- | c</p>"],
  ["- a\r\n  1. b\r\n  2. c\r\n     - d\r\n- e\r\n\r\n  f\r\n\r\ng",
    "<ul><li><p>a</p><ol><li><p>b</p></li><li><p>c</p><ul><li><p>d</p></li></ul></li></ol></li>" +
    "<li><p>e</p><p>f</p></li></ul><p>g</p>"],
  ["3. a\n   ```\n   - b\n   ```\n4. c",
    "<ol start=3><li><p>a</p><pre><code>- b</code></pre></li><li><p>c</p></li></ol>"],
  ["- ".repeat(100000) + "x", null],
  ["[".repeat(100000) + "](".repeat(100000) + "|".repeat(100000) + "\n" + "-|".repeat(100000), null],
  ["*".repeat(100000) + "a" + "_".repeat(100000) + "\\".repeat(100000), null],
];
const STATEMENT = "# Add\nTwo numbers:\n- one\n- two\n\n##### small\n#include <stdio.h>\n##\n" +
  "and *more*\n## End\n```\n# code\n```\n1) first\n   goes on";
const LEVEL = {name: "add", title: "Add", points: 10, languages: ["c"], deadline_ms: null,
  statement: STATEMENT, examples: [], limits: null};

class Element {
  constructor(name) {
    Object.assign(this, {name, children: [], handlers: {}, attributes: {}, dataset: {}, value: ""});
  }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
  setAttribute(key, value) { this.attributes[key] = value; }
  removeAttribute(key) { delete this.attributes[key]; }
  addEventListener(name, handler) { this.handlers[name] = handler; }
  focus() {}
  all(fits) {
    return this.children.filter((child) => child instanceof Element).flatMap((child) =>
      (fits(child) ? [child] : []).concat(child.all(fits)));
  }
  querySelector(name) { return this.all((e) => e.name === name)[0] || null; }
  // What a reader of the page sees of it, and nothing else.
  get html() {
    const {href, start} = this.attributes;
    const look = /^(number|center)$/.test(this.attributes.class) ? this.attributes.class : null;
    const all = Object.entries({href, start, class: look}).filter(([, value]) => value);
    return "<" + this.name + all.map(([key, value]) => " " + key + "=" + value).join("") + ">" +
      this.children.map((c) => (c instanceof Element ? c.html : String(c))).join("") +
      "</" + this.name + ">";
  }
  get textContent() {
    return this.children.map((c) => (c instanceof Element ? c.textContent : String(c))).join("");
  }
  set textContent(text) { this.children = [text]; }
}

function open(hash, level = LEVEL) {
  const known = {main: new Element("main"), who: new Element("a")};
  const kept = new Map();
  const context = {
    console, URL, setTimeout, AbortController,
    location: {hash, href: "http://127.0.0.1:8080/" + hash},
    window: {addEventListener() {}},
    localStorage: {getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v)},
    document: {
      getElementById: (id) => known[id],
      createElement: (name) => new Element(name),
      querySelectorAll: () => [],
    },
    fetch: async (path, options) => {
      const headers = new Headers(options.headers);
      const one = path === "/api/levels/add";
      const good = one || headers.get("authorization") === "Bearer " + KEY;
      const answer = one ? level : good ? {name: "Ada"}
        : {error: {message: "the key is not known"}};
      return {ok: good, status: good ? 200 : 401, json: async () => answer};
    },
  };
  vm.runInNewContext(fs.readFileSync(process.argv[2], "utf8"), context, {timeout: 10000});
  return known.main;
}

async function signIn(key) {
  const main = open("#/account");
  const form = main.all((e) => e.name === "form").find((f) => f.textContent.includes("I have a key"));
  form.all((e) => e.name === "input")[0].value = key;
  await form.handlers.submit({preventDefault() {}});
  await new Promise((next) => setTimeout(next, 0));
  return main.textContent;
}

async function check(key, part) {
  const text = await signIn(key);
  if (text.includes(part)) return;
  console.log("FAILED: signing in with \"" + key + "\" shows, without \"" + part + "\":\n" + text);
  process.exitCode = 1;
}

// What Markdown has for each line, and nothing twice or lost; whatever it is, the page comes.
async function checkStatement() {
  const main = open("#/level/add");
  await new Promise((next) => setTimeout(next, 0));
  const parts = main.all((e) => e.attributes.class === "statement")[0].children
    .map((e) => e.name + ": " + e.textContent);
  const expected = ["h2: Add", "p: Two numbers:", "ul: onetwo",
    "p: ##### small #include <stdio.h> ## and more", "h2: End", "pre: # code",
    "ol: first goes on"];
  if (JSON.stringify(parts) === JSON.stringify(expected)) return;
  console.log("FAILED: a statement is shown as\n" + parts.join("\n"));
  process.exitCode = 1;
}

async function checkMarkdown([statement, expected]) {
  const begin = Date.now();
  const main = open("#/level/add", {...LEVEL, statement});
  await new Promise((next) => setTimeout(next, 0));
  const made = main.all((e) => e.attributes.class === "statement")[0];
  const html = made ? made.children.map((e) => e.html).join("") : "nothing: " + main.textContent;
  const took = Date.now() - begin;
  if (expected === null ? made && took < 5000 : html === expected) return;
  console.log("FAILED: " + statement.slice(0, 200) + "\nis shown in " + took + " ms as\n" +
    html.slice(0, 1000) + "\nnot as\n" + expected);
  process.exitCode = 1;
}

(async () => {
  await checkStatement();
  for (const statement of STATEMENTS) await checkMarkdown(statement);
  await check(KEY, "Ada");
  await check(" " + KEY + "\n", "Ada");
  await check(KEY.replace("a", "b"), "the key is not known");
  await check("мой ключ", "That is no key");
  await check(KEY.replace("a", "а"), "That is no key"); // a Cyrillic one
  await check("two words", "That is no key");
  await check("", "That is no key");
})();
