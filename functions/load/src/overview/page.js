// Draws each chart from the table of its figures.
'use strict';
(() => {
  const MOST = 8;
  const DASHES = [[], [6, 3], [2, 2], [9, 3, 2, 3]];
  const isPrinted = matchMedia('print');
  let colors = {};

  // A page that is printed has the light colors, whatever the screen has: the sheet's own rules say so.
  const readColors = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    colors = { ink: of('--quiet'), line: of('--line'), series: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => of(`--s${n}`)),
      ends: { complete: of('--good'), degraded: of('--warning'), stopped: of('--s8'), incomplete: of('--s4'),
        skipped: of('--s1'), failed: of('--bad') } };
  };

  const figuresOf = (table) => {
    const [days, ...names] = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows];
    const x = rows.map((row) => Date.parse(`${row.cells[0].textContent.trim()}T00:00:00Z`) / 1000);
    const number = (text) => (text === '' ? null : Number(text.replaceAll(',', '')));
    const columns = names.map((name, n) => ({
      name, figures: rows.map((row) => number((row.cells[n + 1]?.textContent ?? '').trim())),
    }));
    return { days, x, columns };
  };

  const total = (column) => column.figures.reduce((sum, figure) => sum + (figure ?? 0), 0);

  const together = (columns, how, name) => ({
    name,
    figures: columns[0].figures.map((_, n) => {
      const known = columns.map((column) => column.figures[n]).filter((figure) => figure !== null);
      if (known.length === 0) return null;
      return how === 'max' ? Math.max(...known) : known.reduce((a, b) => a + b, 0);
    }),
  });

  // The choices of a chart, by name: all columns, or where these are tables, some of them.
  const choices = (columns, how) => {
    if (how === 'none' || columns.length < 2) return new Map([['all', columns]]);
    const largest = [...columns].sort((a, b) => total(b) - total(a)).slice(0, MOST);
    const first = largest.length < columns.length ? `the ${MOST} largest` : 'each table';
    return new Map([
      [first, largest],
      ['all together', [together(columns, how, 'all tables')]],
      ...[...columns].sort((a, b) => (a.name < b.name ? -1 : 1)).map((column) => [column.name, [column]]),
    ]);
  };

  const format = (unit) => (_, value) =>
    value === null || value === undefined ? '–' : `${value.toLocaleString('en', { maximumFractionDigits: 1 })} ${unit}`;

  const short = (value) => {
    if (value === null) return '';
    const [n, unit] = Math.abs(value) >= 1e6 ? [1e6, 'M'] : Math.abs(value) >= 1e4 ? [1e3, 'k'] : [1, ''];
    return `${(value / n).toLocaleString('en', { maximumFractionDigits: 1 })}${unit}`;
  };

  const powers = (high) => {
    const splits = [0];
    for (let power = 10; power <= high; power *= 10) splits.push(power);
    return splits;
  };

  const options = (kind, unit, columns, width) => {
    const axis = { stroke: colors.ink, grid: { stroke: colors.line, width: 1 }, ticks: { stroke: colors.line, width: 1 } };
    const series = columns.map((column, n) => {
      const color = (kind === 'bars' && colors.ends[column.name]) || colors.series[n % colors.series.length];
      const common = { label: column.name, stroke: color, value: (plot, value, _, at) =>
        format(unit)(plot, at === null ? null : column.figures[at]) };
      return kind === 'bars'
        ? { ...common, fill: color, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.85, 40] }) }
        : { ...common, width: 1.5, dash: DASHES[Math.floor(n / 4) % DASHES.length], spanGaps: false,
            points: { size: 4 } };
    });
    return {
      width, height: width < 500 ? 200 : 260,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
      cursor: { y: false, drag: { x: true, y: false } },
      scales: { x: { time: true }, y: unit === 'rows'
        ? { distr: 4, asinh: 10, range: (_, low, high) => [0, Math.max(high ?? 0, 10) * 1.3] }
        : { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.08] } },
      axes: [axis, { ...axis, size: 60, values: (_, splits) => splits.map(short),
        ...(unit === 'rows' && { splits: (_, n, low, high) => powers(high), filter: (_, splits) => splits }) }],
      series: [{ value: (_, seconds) => (seconds === null ? '–' : new Date(seconds * 1000).toISOString().slice(0, 10)) },
        ...series],
      legend: { live: true },
    };
  };

  const chart = (figure) => {
    const { figures, kind, unit, together: how, label } = figure.dataset;
    const { days, x, columns } = figuresOf(document.getElementById(figures));
    if (columns.length === 0) return () => {};
    const shown = choices(columns, how);
    const plot = document.createElement('div');
    plot.className = 'plot';
    let select = null;
    if (shown.size > 1) {
      const named = document.createElement('label');
      select = document.createElement('select');
      for (const name of shown.keys()) select.add(new Option(name));
      named.append('Show ', select);
      figure.append(named);
    }
    figure.append(plot);
    let drawn = null;
    const draw = () => {
      drawn?.destroy();
      const chosen = shown.get(select?.value ?? 'all');
      let data = chosen.map((column) => column.figures);
      if (kind === 'bars') {
        // Each stands on those before it; the tallest is drawn first.
        let below = x.map(() => 0);
        data = data.map((line) => (below = line.map((figure, n) => below[n] + (figure ?? 0))));
      }
      const order = kind === 'bars' ? [...chosen.keys()].reverse() : [...chosen.keys()];
      const settings = options(kind, unit, chosen, Math.max(plot.clientWidth, 280));
      settings.series = [settings.series[0], ...order.map((n) => settings.series[n + 1])];
      settings.series[0].label = days;
      drawn = new uPlot(settings, [x, ...order.map((n) => data[n])], plot);
      const canvas = plot.querySelector('canvas');
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', `${label}: ${chosen.map((column) => column.name).join(', ')}. The figures are in the table below.`);
    };
    select?.addEventListener('change', draw);
    draw();
    return draw;
  };

  // A browser that can't draw shows the tables.
  if (typeof uPlot === 'undefined') return;
  readColors();
  const charts = [...document.querySelectorAll('figure.chart')].map(chart);
  const redraw = () => {
    readColors();
    for (const draw of charts) draw();
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  isPrinted.addEventListener('change', redraw);
  let width = document.documentElement.clientWidth;
  addEventListener('resize', () => {
    if (document.documentElement.clientWidth !== width) {
      width = document.documentElement.clientWidth;
      redraw();
    }
  });
})();
