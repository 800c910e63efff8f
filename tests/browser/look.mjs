// Opens a page in headless Chromium, in which every request is refused, and prints what there is to see, as JSON:
//
//   node look.mjs PAGE [SCREENSHOT]
//
// The browser is the one that CHROMIUM names, that scripts/setup --tests has fetched, or that is installed.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [page, screenshot] = process.argv.slice(2);
const url = pathToFileURL(resolve(page)).href;
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const folder = fileURLToPath(new URL('../../.cache/tools/chromium', import.meta.url));

function browser() {
  const named = process.env.CHROMIUM;
  if (named) return { executablePath: named };
  if (existsSync(join(folder, 'wanted'))) {
    const env = { ...process.env, LD_LIBRARY_PATH: join(folder, 'lib'), FONTCONFIG_FILE: join(folder, 'fonts.conf') };
    return { executablePath: join(folder, 'chromium'), env };
  }
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (process.env.PATH ?? '').split(delimiter);
  const places = [
    ...names.flatMap((name) => folders.map((folder) => join(folder, name))),
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ];
  const executablePath = places.find((place) => existsSync(place));
  if (executablePath) return { executablePath };
  console.error('NO BROWSER: run scripts/setup --tests, install Chromium, or name one in CHROMIUM. The page was not looked at.');
  process.exit(3);
}

const started = await chromium.launch({ ...browser(), args: ['--no-sandbox', '--disable-gpu'] });

/** Opens the page; collects its requests, errors, and violations of its Content-Security-Policy. */
async function open(options) {
  const context = await started.newContext({ locale: 'en-US', ...options });
  const seen = { requests: [], errors: [] };
  await context.route('**', (route) => {
    if (route.request().url() === url) return route.continue();
    seen.requests.push(route.request().url());
    return route.abort();
  });
  const tab = await context.newPage();
  tab.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) seen.errors.push(message.text());
  });
  tab.on('pageerror', (error) => seen.errors.push(String(error)));
  await tab.goto(url, { waitUntil: 'load' });
  return { context, tab, seen };
}

/** Returns, of each canvas, its size and the number of its colors, and of its points that are drawn. */
const canvases = (tab) => tab.evaluate(() => [...document.querySelectorAll('figure.chart')].map((figure) => {
  const canvas = figure.querySelector('canvas');
  if (!canvas) return { figures: figure.dataset.figures, width: 0, drawn: 0, colors: 0 };
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const colors = new Set();
  let drawn = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] === 0) continue;
    drawn += 1;
    if (data[at + 3] === 255) colors.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
  }
  return { figures: figure.dataset.figures, width: canvas.width, drawn, colors: colors.size,
    label: canvas.getAttribute('aria-label'), role: canvas.getAttribute('role') };
}));

const overflow = (tab) => tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

async function findings(tab) {
  await tab.evaluate(`${(await import('node:fs')).readFileSync(axe, 'utf8')}; undefined`);
  const { violations, passes } = await tab.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const of = ({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) });
  return { violations: violations.map(of), passes: passes.length };
}

const looked = {};
for (const [name, colorScheme, width] of [['light', 'light', 1400], ['dark', 'dark', 1400], ['narrow', 'light', 400]]) {
  const { context, tab, seen } = await open({ colorScheme, viewport: { width, height: 900 } });
  const of = {
    ...seen,
    charts: await canvases(tab),
    overflow: await overflow(tab),
    background: await tab.evaluate(() => getComputedStyle(document.body).backgroundColor),
    axe: await findings(tab),
  };
  if (name === 'light') {
    // Text is the page's; markup that came from data would be elements that the page does not have.
    of.tables = await tab.evaluate(() => Object.fromEntries([...document.querySelectorAll('table[id]')].map((table) => [
      table.id, [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim())),
    ])));
    of.verdict = await tab.evaluate(() => document.querySelector('#verdict').textContent.trim());
    of.level = await tab.evaluate(() => document.querySelector('#verdict').dataset.level);
    of.text = await tab.evaluate(() => document.body.textContent);
    of.foreign = await tab.evaluate(() => document.querySelectorAll('img, iframe, object, embed, a[href], base, form').length);
    of.scripts = await tab.evaluate(() => document.scripts.length);
    of.inert = await tab.evaluate(() => globalThis.hostile === undefined);
    const select = tab.locator('figure[data-figures="figures-rows"] select');
    of.choices = await select.locator('option').allTextContents();
    await select.selectOption('all together');
    of.together = await tab.evaluate(() => document.querySelector('figure[data-figures="figures-rows"] .u-legend').textContent);
    await select.selectOption({ index: 0 });
    await tab.emulateMedia({ media: 'print' });
    of.pages = (await tab.pdf({ format: 'A4' })).toString('latin1').split('/Type /Page\n').length - 1;
    of.printed = await canvases(tab);
    await tab.emulateMedia({ media: 'screen' });
    if (screenshot) await tab.screenshot({ path: screenshot, clip: { x: 0, y: 0, width: 1400, height: 1100 }, fullPage: true });
  }
  if (screenshot && name !== 'light') await tab.screenshot({ path: screenshot.replace(/\.png$/, `-${name}.png`), fullPage: true });
  looked[name] = of;
  await context.close();
}

// Without JavaScript there are the tables, which a click opens.
const { context, tab, seen } = await open({ javaScriptEnabled: false, viewport: { width: 1000, height: 900 } });
const table = tab.locator('#figures-rows');
const before = await table.isVisible();
await tab.locator('summary').first().click();
looked.plain = { ...seen, before, after: await table.isVisible(), notes: await tab.locator('noscript').first().isVisible() };
await context.close();
await started.close();
console.log(JSON.stringify(looked));
