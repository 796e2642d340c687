// Runs web/arena/arena.js over a document that is no more than what the page uses of one, and an
// arena that knows one key and one level. Headers are checked as a browser does.
"use strict";
const fs = require("fs");
const vm = require("vm");

const KEY = "bv-" + "0123456789abcdef".repeat(4);
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
  get textContent() {
    return this.children.map((c) => (c instanceof Element ? c.textContent : String(c))).join("");
  }
  set textContent(text) { this.children = [text]; }
}

function open(hash) {
  const known = {main: new Element("main"), who: new Element("a")};
  const kept = new Map();
  const context = {
    console, URL, setTimeout, AbortController,
    location: {hash},
    window: {addEventListener() {}},
    localStorage: {getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v)},
    document: {
      getElementById: (id) => known[id],
      createElement: (name) => new Element(name),
      querySelectorAll: () => [],
    },
    fetch: async (path, options) => {
      const headers = new Headers(options.headers);
      const level = path === "/api/levels/add";
      const good = level || headers.get("authorization") === "Bearer " + KEY;
      const answer = level ? LEVEL : good ? {name: "Ada"}
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

(async () => {
  await checkStatement();
  await check(KEY, "Ada");
  await check(" " + KEY + "\n", "Ada");
  await check(KEY.replace("a", "b"), "the key is not known");
  await check("мой ключ", "That is no key");
  await check(KEY.replace("a", "а"), "That is no key"); // a Cyrillic one
  await check("two words", "That is no key");
  await check("", "That is no key");
})();
