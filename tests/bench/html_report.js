// What a page must keep so that everybody can use it: the rules of axe that matter here, and some of our own.
// Evaluates to a list of faults.
(() => {
  const faults = [];
  const fault = (text, element) => faults.push(`${text}: ${element.outerHTML.slice(0, 160)}`);
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const isShown = (element) => element.checkVisibility({ visibilityProperty: true });

  // Names.
  const ids = new Set();
  for (const element of all('[id]')) {
    if (ids.has(element.id)) fault('an id that is not unique', element);
    ids.add(element.id);
  }
  for (const element of all('[aria-labelledby], [aria-describedby]')) {
    const named = `${element.getAttribute('aria-labelledby') ?? ''} ${element.getAttribute('aria-describedby') ?? ''}`;
    for (const id of named.split(' ').filter(Boolean)) {
      if (!document.getElementById(id)?.textContent.trim()) fault(`no text with the id ${id}`, element);
    }
  }
  for (const link of all('a[href^="#"]')) {
    if (!ids.has(link.getAttribute('href').slice(1))) fault('a link to nothing', link);
  }
  for (const svg of all('svg').filter((svg) => !svg.parentElement.closest('svg'))) {
    const isNamed = svg.getAttribute('aria-label') || svg.getAttribute('aria-labelledby');
    if (svg.getAttribute('role') !== 'img' || !isNamed) fault('a drawing without role and name', svg);
  }
  for (const element of all('button, a, summary')) {
    if (!element.textContent.trim()) fault('a control without a name', element);
  }
  for (const region of all('[role=region], nav, section')) {
    if (!region.getAttribute('aria-label') && !region.getAttribute('aria-labelledby')) fault('no name', region);
  }
  for (const region of all('.scroll')) if (region.tabIndex !== 0) fault('the keyboard cannot scroll it', region);
  for (const cell of all('th')) if (!cell.getAttribute('scope')) fault('a heading of what', cell);
  for (const figure of all('figure')) {
    if (!figure.querySelector('details table')) fault('a figure without its data as a table', figure);
  }

  // Structure.
  if (!document.documentElement.lang) faults.push('no language');
  if (!document.title.trim()) faults.push('no title');
  if (!document.querySelector('meta[name=viewport]')) faults.push('no viewport');
  if (all('main').length !== 1) faults.push('not one main');
  let level = 0;
  for (const heading of all('h1, h2, h3, h4, h5, h6')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) fault(`a heading of level ${next} after ${level}`, heading);
    level = next;
  }
  if (all('h1').length !== 1) faults.push('not one h1');

  // What can be folded away is looked at unfolded as well.
  const looked = () => {
    // Contrast, of text on the background that is nearest to it.
    const channels = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = (color) => {
      const [r, g, b] = channels(color).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
      const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    const backgrounds = (element) => {
      const found = [];
      if (element.closest('svg')) all('.ground').slice(0, 1).forEach((rect) => found.push(getComputedStyle(rect).fill));
      for (let it = element; it; it = it.parentElement) {
        const color = getComputedStyle(it).backgroundColor;
        if ((channels(color)[3] ?? 1) === 1) return [...found, color];
      }
      return [...found, 'rgb(255, 255, 255)'];
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (!node.data.trim() || !isShown(element) || ['TITLE', 'DESC', 'title', 'desc'].includes(element.tagName)) continue;
      const style = getComputedStyle(element);
      const color = element.closest('svg') ? style.fill : style.color;
      for (const background of backgrounds(element)) {
        const found = ratio(color, background);
        if (found < 4.5) fault(`contrast ${found.toFixed(2)} of ${color} on ${background}`, element);
      }
      if (parseFloat(style.fontSize) < 12) fault(`text of ${style.fontSize}`, element);
    }

    // Layout.
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width) {
      faults.push(`the page is ${document.documentElement.scrollWidth} wide on ${width}`);
      const isWide = (element) => isShown(element) && !element.closest('.scroll') && !element.closest('.skip');
      all('body *').filter(isWide).filter((element) => element.getBoundingClientRect().right > width + 0.5)
        .slice(0, 5).forEach((element) => fault('wider than the page', element));
    }
    for (const svg of all('svg.chart').filter(isShown)) {
      const texts = Array.from(svg.querySelectorAll('text')).map((text) => [text, text.getBoundingClientRect()]);
      for (const [text, box] of texts) {
        if (box.left < 0 || box.right > width + 0.5) fault('a label outside of the page', text);
      }
      texts.forEach(([text, box], place) => {
        for (const [other, box2] of texts.slice(place + 1)) {
          const overlapX = Math.min(box.right, box2.right) - Math.max(box.left, box2.left);
          const overlapY = Math.min(box.bottom, box2.bottom) - Math.max(box.top, box2.top);
          if (overlapX > 1 && overlapY > 5) fault(`labels lie over each other: "${text.textContent}" and "${other.textContent}"`, svg);
        }
      });
    }
    for (const line of all('svg.chart path.line, svg.chart path.heat')) {
      if (/NaN|Infinity/.test(line.getAttribute('d'))) fault('a coordinate that is no number', line);
    }

    // The keyboard's place is seen.
    for (const element of all('a, summary, .scroll, button').filter(isShown).slice(0, 60)) {
      element.focus();
      const style = getComputedStyle(element);
      if (document.activeElement !== element) fault('takes no focus', element);
      else if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) fault('focus is not seen', element);
    }
    document.activeElement.blur();
  };
  looked();
  all('details').forEach((details) => { details.open = true; });
  looked();
  all('details').forEach((details) => { details.open = false; });
  return faults;
})()
