// The little of the DOM that every view needs.

/** Find by id, or name the id that is missing: a typo must not become `null` three calls later. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/** Make an element. Children are nodes or text, never HTML: what a model says must not become markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Text in which `commands` stand between backticks, as nodes. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}
