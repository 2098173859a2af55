import { convert } from "html-to-text";
import { Parser, Tokenizer } from "htmlparser2";

/**
 * The text of received HTML. The converter calls itself for each level of elements and searches all open ones for each end tag, so a
 * stranger's mail is measured first; what no mail program writes is read tag by tag, without a tree: plainer, and nothing of it is lost.
 */

/** Above any of these the text is read without a tree. A long newsletter has some 5,000 tags, 40 levels deep. */
const MAX_LENGTH = 500_000;
const MAX_TAGS = 20_000;
const MAX_DEPTH = 100;

export const htmlToText = (html: string): string => (isOrdinary(html) ? convert(html) : withoutTags(html));

function isOrdinary(html: string): boolean {
  if (html.length > MAX_LENGTH) return false;
  const seen = { tags: 0, depth: 0, deepest: 0 };
  const parser = new Parser({
    onopentagname() {
      seen.tags++;
      seen.deepest = Math.max(seen.deepest, ++seen.depth);
    },
    onclosetag() {
      seen.depth--;
    },
  });
  // In pieces, so that no more is read once it is too much.
  for (let at = 0; at < html.length; at += 1000) {
    parser.write(html.slice(at, at + 1000));
    if (seen.tags > MAX_TAGS || seen.deepest > MAX_DEPTH) return false;
  }
  return true;
}

/** Elements that stand on lines of their own. */
const BLOCK = /^(?:p|div|br|tr|li|ul|ol|h[1-6]|table|blockquote|pre|hr|dt|dd|section|article|header|footer|center)$/;
const UNSEEN = new Set(["script", "style", "title"]);

/** The text between the tags in one pass: blocks begin a line, runs of blanks are one. */
function withoutTags(html: string): string {
  const pieces: string[] = [];
  let unseen: string | null = null;
  const seen = (text: string) => {
    if (unseen === null) pieces.push(text);
  };
  const nameOf = (start: number, end: number) => html.slice(start, Math.min(end, start + 20)).toLowerCase();
  const nothing = () => {};
  const tokenizer = new Tokenizer(
    { decodeEntities: true },
    {
      ontext: (start, end) => seen(html.slice(start, end).replace(/\s+/g, " ")),
      ontextentity: (codepoint) => seen(String.fromCodePoint(codepoint)),
      onopentagname(start, end) {
        const name = nameOf(start, end);
        if (BLOCK.test(name)) seen("\n");
        if (UNSEEN.has(name)) unseen = name;
      },
      onclosetag(start, end) {
        const name = nameOf(start, end);
        if (name === unseen) unseen = null;
        if (BLOCK.test(name)) seen("\n");
      },
      onattribdata: nothing,
      onattribentity: nothing,
      onattribend: nothing,
      onattribname: nothing,
      oncdata: nothing,
      oncomment: nothing,
      ondeclaration: nothing,
      onend: nothing,
      onopentagend: nothing,
      onprocessinginstruction: nothing,
      onselfclosingtag: nothing,
    },
  );
  tokenizer.write(html);
  tokenizer.end();
  return pieces
    .join("")
    .replace(/ +/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}
