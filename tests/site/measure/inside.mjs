// What is asked inside a page: these functions are handed to the browser.

/** Pictures whose text alternative is missing, or is no words, or is a file's name. */
export function findWordless() {
  const meaningful = /\p{L}{3}/u;
  return [...document.images]
    .filter(({ alt }) => !meaningful.test(alt) || /\.(png|svg|webp)\b/.test(alt))
    .map(({ src, alt }) => `no text alternative: ${src} “${alt}”`);
}

/** What a page shows only in part: past its edge, or in a box that hides the rest. */
export function findCutOff() {
  const width = document.documentElement.clientWidth;
  const exempt = ".sr-only, .visually-hidden, .skip-to-content, svg, aside";
  const scrolls = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement ?? at.getRootNode().host) {
      if (/auto|scroll/.test(getComputedStyle(at).overflowX) || at.matches(exempt)) return true;
    }
    return false;
  };
  const hides = (element) =>
    /hidden|clip/.test(getComputedStyle(element).overflowX) &&
    element.scrollWidth > element.clientWidth + 1;
  const inside = [...document.querySelectorAll("body *")].flatMap((element) => [
    element,
    ...(element.shadowRoot?.querySelectorAll("*") ?? []),
  ]);
  return inside
    .filter((element) => {
      const { width: wide, height, left, right } = element.getBoundingClientRect();
      if (!wide || !height || scrolls(element)) return false;
      return right > width + 1 || left < -1 || hides(element);
    })
    .map((element) => `cut off: ${element.tagName.toLowerCase()}.${element.className}`)
    .slice(0, 3);
}

/** Scroll to the end as a reader does, and wait until all pictures are there. */
export async function scrollThrough() {
  for (let y = 0; y < document.body.scrollHeight; y += 800) {
    window.scrollTo(0, y);
    await new Promise((done) => setTimeout(done, 20));
  }
  for (const image of document.images) image.loading = "eager";
  const shown = [...document.images].filter((image) => image.checkVisibility());
  await Promise.allSettled(shown.map((image) => image.decode()));
}

/** Note every layout shift from the first moment on, in `window.shifts`. */
export function watchShifts() {
  window.shifts = [];
  new PerformanceObserver((list) => window.shifts.push(...list.getEntries())).observe({
    type: "layout-shift",
    buffered: true,
  });
}

/** Say how much moved in sum, and what moved most. */
export function findShift() {
  const sum = window.shifts.reduce((total, { value }) => total + value, 0);
  if (sum < 0.001) return [];
  const [most] = window.shifts.toSorted((a, b) => b.value - a.value);
  const { node } = most.sources[0] ?? {};
  return [`layout shift ${sum.toFixed(4)}: ${(node?.outerHTML ?? node?.textContent)?.slice(0, 80)}`];
}

/** Use each live figure as a reader does: change all of its controls, by input and keys. */
export async function useFigures() {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const figures = [...document.querySelectorAll("*")].filter(({ shadowRoot, ready }) => shadowRoot && ready);
  for (const figure of figures) {
    figure.scrollIntoView();
    await figure.ready;
    for (const control of figure.form.elements) {
      // Browsers open the dialog of "own picture" for people only.
      if (!control.checkVisibility() || control.matches(".copy, .reset, .own")) continue;
      if (control.matches("[type=checkbox], button")) control.click();
      else if (control.type === "number") control.value = control.max || control.valueAsNumber + 1;
      else if (control.options) control.selectedIndex = control.options.length - 1;
      control.dispatchEvent(new InputEvent("input", { bubbles: true }));
      await drawn();
    }
    for (const place of figure.shadowRoot.querySelectorAll("[role=application]")) {
      place.focus();
      place.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
      await drawn();
    }
  }
}

/** Run axe-core with all rules that count for WCAG 2.2; return violations in words. */
export async function runAxe() {
  const { violations } = await window.axe.run({ rules: { "target-size": { enabled: true } } });
  return violations.map(
    ({ id, nodes }) => `axe: ${id} × ${nodes.length}: ${nodes[0].html.slice(0, 120)}`,
  );
}

/** Return the addresses that a page leads to, and the names within it. */
export function findLinks() {
  const links = [...document.querySelectorAll("a[href]")].map(({ href }) => href);
  return { links, ids: [...document.querySelectorAll("[id]")].map(({ id }) => id) };
}
