// BROWSER=PROGRAM node explore.cjs PAGE: uses the page of fae.explore by mouse, keyboard and touch, and prints what it
// shows as JSON. Needs puppeteer-core, from the project's node_modules or $NODE_PATH.
const puppeteer = require('puppeteer-core');

(async () => {
  const browser = await puppeteer.launch({
    executablePath: process.env.BROWSER,
    args: ['--no-sandbox', '--disable-gpu'],
  });
  const page = await browser.newPage();
  const problems = [];
  page.on('console', (message) => problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.setViewport({ width: 1280, height: 900, hasTouch: true });
  await page.goto(`file://${process.argv[2]}`);
  const said = () => page.$eval('#said', (status) => status.textContent);
  const place = () => page.$eval('#image', (image) => image.style.backgroundPosition);
  const middle = (index) =>
    page.$$eval(
      '#points circle',
      (marks, index) => {
        marks[index].scrollIntoView({ block: 'center' });
        const box = marks[index].getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
      },
      index,
    );
  const found = { before: await page.$eval('#look', (look) => look.hidden) };
  await page.mouse.move(...(await middle(0)));
  found.mouse = [await said(), await place()];
  await page.touchscreen.tap(...(await middle(3)));
  found.touch = [await said(), await place()];
  await page.$eval('#plot', (plot) => plot.focus());
  for (const key of ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']) {
    await page.keyboard.press(key);
    found[key] = await said();
  }
  await page.click('.keys button');
  found.dim = await page.$$eval('#points .dim', (marks) => marks.length);
  await page.mouse.move(...(await middle(1)));
  found.chosen = await said();
  if (process.argv[3]) await page.screenshot({ path: process.argv[3] });
  await browser.close();
  console.log(JSON.stringify({ ...found, problems }));
})();
