// BROWSER=PROGRAM node axe.cjs PAGE: looks at a page on a wide screen and on a phone, in light and dark, and prints
// what it finds as JSON. Needs axe-core and puppeteer-core, from the project's node_modules or $NODE_PATH.
const { readFileSync } = require('node:fs');
const puppeteer = require('puppeteer-core');

const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const plain = '.scroll { background: none !important }'; // axe measures no contrast on a gradient

async function look(browser, path, scheme, width) {
  const page = await browser.newPage();
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setViewport({ width, height: 800 });
  await page.goto(`file://${path}`);
  await page.addStyleTag({ content: plain });
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run();
    return {
      violations: violations.map((rule) => `${rule.id}: ${rule.nodes[0].html}`),
      background: getComputedStyle(document.body).backgroundColor,
      width: document.documentElement.scrollWidth,
      verdict: document.querySelector('td.verdict')?.getBoundingClientRect().right,
    };
  });
}

(async () => {
  const browser = await puppeteer.launch({
    executablePath: process.env.BROWSER,
    args: ['--no-sandbox', '--disable-gpu'],
  });
  const found = {};
  for (const scheme of ['light', 'dark'])
    for (const width of [1280, 390])
      found[`${scheme} ${width}`] = await look(browser, process.argv[2], scheme, width);
  await browser.close();
  console.log(JSON.stringify(found));
})();
