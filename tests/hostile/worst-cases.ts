/** The worst that is known for what reads Markdown, HTML, replies, single values and CSV: from the trackers of such libraries, and by trial. */

/** A text of `n` characters; the worst cases grow with it. */
export type Case = (n: number) => string;
const of =
  (unit: string, head = "", tail = ""): Case =>
  (n) =>
    `${head}${unit.repeat(Math.ceil(n / unit.length)).slice(0, Math.max(0, n - head.length - tail.length))}${tail}`;
const lines =
  (line: (i: number) => string): Case =>
  (n) => {
    let text = "";
    for (let i = 0; text.length < n; i++) text += `${line(i)}\n`;
    return text.slice(0, n);
  };
const half =
  (open: string, close: string, middle = "a"): Case =>
  (n) => {
    const times = Math.floor(n / (open.length + close.length));
    return open.repeat(times) + middle + close.repeat(times);
  };

export const MARKDOWN: Record<string, Case> = {
  "emphasis that never closes": of("*a_"),
  "emphasis within emphasis": half("*", "*"),
  "strong within strong": half("**", "**"),
  "both, in turns": half("*_", "_*"),
  "strike-through": of("~a~~"),
  "emphasis and brackets": of("*]"),
  "emphasis and links": of("*[a](b)"),
  "links that never close": of("[a](b"),
  "links to angle brackets that never close": of("[a](<b"),
  "brackets that open": of("["),
  "brackets within brackets": half("[", "]"),
  "images within images": half("![", "](b)"),
  "code that never closes": (n) => {
    let text = "";
    for (let i = 1; text.length < n; i++) text += `e${"`".repeat(i)}`;
    return text.slice(0, n);
  },
  backticks: of("`a``b"),
  "HTML that never closes": of("<a b=c "),
  "comments that never close": of("<!--"),
  "angle brackets": of("<>"),
  escapes: of("\\\\a"),
  "exclamation marks": of("!"),
  "a link and full stops": of(".", "http://a"),
  "a link and brackets": of("(", "http://a"),
  "links and brackets": of("http://a("),
  "a mail address and full stops": of(".a", "x@y"),
  "mail addresses": of("a@b."),
  www: of("www.a_"),
  "a long word": of("a"),
  blanks: of(" ", "a", "b"),
  "blanks before line ends": of("a  \n"),
  "tabs between lines": of("*a_\n\t\n"),
  "lines after carriage returns": (n) => {
    let text = "";
    for (let i = 1; text.length < n; i++) text += `${"> ".repeat(i)}a\r`;
    return text.slice(0, n);
  },
  "quotes in one line": of("> "),
  "lists in one line": of("- "),
  "numbered lists in one line": of("1. "),
  "quotes and lists in one line": of("> - "),
  "lists, each deeper": lines((i) => `${"  ".repeat(i)}- a`),
  "empty lists, each deeper": lines((i) => `${"  ".repeat(i)}-`),
  "quotes that end and begin again": lines((i) => (i % 2 ? "b" : `${"> ".repeat(8)}a`)),
  "lists in quotes that end and begin again": lines((i) => (i % 2 ? "b" : `${"> - ".repeat(4)}a`)),
  "quotes, deeper and deeper": lines((i) => `${"> ".repeat((i % 8) + 1)}a`),
  "a wide table": (n) => `${"|a".repeat(n / 6)}\n${"|-".repeat(n / 6)}\n${"|\n".repeat(Math.min(n / 6, 300))}`,
  tables: of("|a|b|\n|-|-|\n|c|d|\n\n"),
  definitions: of('[a]: b "\n'),
  headings: of("# a #\n"),
  underlines: of("a\n===\n"),
  rules: of("- - -\n"),
  "a rule that is none": of("- ", "", "x"),
  fences: of("~~~a\n"),
  "a fence that never closes": of("`", "```\n"),
  tildes: of("~"),
  entities: of("&#x41;&amp"),
  variables: of("{{firstName|a}}"),
  "variables that never close": of("{{a"),
  "variables nobody knows": of("{{firstNam}}"),
};

export const HTML: Record<string, Case> = {
  "elements within elements": of("<div>"),
  "different elements within each other": of("<b><i>"),
  "elements and ends of others": half("<b>", "</x>"),
  "elements hidden by attributes": of(`<b><i x="</b>">`),
  "rows and paragraphs in turns": of("<tr><p>"),
  "drawings whose parents end": of("<b><svg></b>"),
  "lists within lists": of("<ul><li>a<br>"),
  "quotes within quotes": of("<blockquote>a<br>"),
  tables: of("<table><tr><td>a"),
  "line breaks": of("<br>"),
  attributes: of("a ", "<p ", ">x"),
  "angle brackets": of("<"),
  "comments that never close": of("<!-- "),
  "a style that never ends": of("</styl", "<style>"),
  entities: of("&amp;&#65;&nope"),
  blanks: of(" ", "a", "b"),
  links: of('<a href="http://a">a</a>'),
  "a long list with letters": of("<li>", '<ol type="a" start="99999999999">'),
};

export const REPLIES: Record<string, Case> = {
  "headers of quotes that never end": of("On a on at "),
  "… in lines": of("On a b\non at x <\n"),
  "Dutch headers": of("Op a\nschreef b\n"),
  "Polish headers": of("Dnia a\npisze b\n"),
  "Swedish headers": of("abc. a\nx skrev b\n"),
  "Chinese headers": of("在 a\n写道\n"),
  "names and on and at": of(" on at", "a", "wrote"),
  "… in short lines": of(`a${" on at".repeat(50)} wrote\n`),
  "dates and quotes": of('01.01.2026 10.10 " < > ', "", "x"),
  "German headers": of("Am 1 schrieb < "),
  "addresses in angle brackets": of("From: <"),
  "… in lines of their own": of("From: a\n"),
  "lines of quotes": of(">\na\n"),
  signatures: of("--\n"),
  dashes: of("-"),
  "blank lines": of("\n"),
  blanks: of(" ", "", "x"),
  regards: of("a and Regards\n"),
  "one letter in each line": of("a\n"),
};

export const WORDS: Record<string, Case> = {
  digits: of("1", "", "x"),
  "digits in groups": of("1,111", "1", "x"),
  letters: of("a"),
  dots: of("a."),
  hyphens: of("a-"),
  "at signs": of("a@"),
  "angle brackets": of("<a"),
  blanks: of(" ", "<a>", "x"),
  "an address that never ends": of(".a", "a@b"),
  groups: of("a:", "", ";"),
  brackets: of("("),
  quotes: of('"a" '),
  commas: of("a@b.c,"),
  plus: of("+1 "),
  slashes: of("a://b:"),
  tokens: of("-eyJaaaaaaaaaaa"),
};

export const CSV: Record<string, Case> = {
  "quotes that never close": of('a,"b\n'),
  quotes: of('"'),
  "quotes within quotes": of('"a""b",'),
  "stray quotes": of('a"b'),
  columns: of(","),
  "empty lines": of("\n", "a\n", "b"),
  "carriage returns": of("\r"),
  "one long cell": of("a"),
  "delimiters in turns": of(",;|\t"),
};

/** Query strings over REST; `+` is a blank, and a quote or an arrow takes three times its length. */
export const QUERIES: Record<string, Case> = {
  "blanks in a tree of filters": of("+", "and=("),
  "columns without an operator": of("+a", "or=("),
  "brackets in a tree": of("(", "or=("),
  "trees in a tree": of("and(", "or=("),
  "trees that are none": of("and+", "or=("),
  "commas in a tree": of(",+", "and=("),
  "dots in a tree": of(".match", "and=(a"),
  "brackets that close before they open": (n) =>
    `select=${":".repeat(n / 3)}${")".repeat(n / 3)}${"(x".repeat(n / 6)}`.slice(0, n),
  "embeds without end": of("a(b),", "select="),
  "hints before a line": of("!", "select=a", "%0A(x)"),
  "quotes in select": (n) => of('"', "select=")(n / 3),
  "dots in a name": of("a.", "", "limit=1"),
  "arrows in a name": (n) => of("->", "a", ".limit=1")(n / 3),
};
