// The checks that look at a page from within. Each returns what is wrong, in words.
window.workbookChecks = (() => {
  const path = element => {
    const words = [];
    for (let e = element; e && e !== document.body && words.length < 4; e = e.parentElement)
      words.unshift(e.localName + (e.id ? '#' + e.id : '') + [...e.classList].slice(0, 2).map(c => '.' + c).join(''));
    return words.join(' > ');
  };
  const seen = element => element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
  const clipped = element => {
    for (let e = element.parentElement; e && e !== document.documentElement; e = e.parentElement)
      if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(e).overflowX)) return true;
    return false;
  };
  const scrolled = element => {
    for (let e = element.parentElement; e; e = e.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(e).overflowX)) return true;
    return false;
  };
  const nameOf = img => {
    const src = img.getAttribute('src') || '';
    return src.startsWith('data:') ? 'in the page' : src.split('/').pop().slice(0, 20);
  };
  // A widget that is live has taken its still picture's place.
  const figures = () => [...document.querySelectorAll('main img')].filter(
    img => !img.matches('.wb-widget[data-live=true] .wb-still'));

  // [red, green, blue, alpha] of what stands behind an element, its own ground included.
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = getComputedStyle(e).backgroundColor.match(/[\d.]+/g).map(Number);
      if (a > 0.5) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const light = ([r, g, b]) => (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  const corner = img => {
    const canvas = Object.assign(document.createElement('canvas'), {width: 8, height: 8});
    const draw = canvas.getContext('2d');
    draw.drawImage(img, 0, 0, img.naturalWidth / 20, img.naturalHeight / 20, 0, 0, 8, 8);
    return draw.getImageData(0, 0, 1, 1).data;
  };

  return {
    sideways() {
      const wide = document.documentElement.clientWidth;
      const over = document.documentElement.scrollWidth - wide;
      if (over <= 0) return [];
      const out = [...document.body.querySelectorAll('*')].filter(
        e => e.checkVisibility() && e.getBoundingClientRect().right > wide + 0.5 && !clipped(e));
      return [`scrolls sideways by ${over} px: ${out.slice(0, 5).map(path).join(' | ') || 'no element found'}`];
    },

    // What stands past the right edge with nothing to scroll it by: the page hides it, and does not scroll itself.
    cutOff() {
      const wide = document.documentElement.clientWidth;
      const out = [...document.querySelectorAll('main :is(a, i, img, p, code, pre, th, td, button, math)')].filter(
        e => seen(e) && e.getBoundingClientRect().right > wide + 1 && !scrolled(e));
      return out.slice(0, 5).map(e => `stands past the right edge: ${path(e)}`);
    },

    figures() {
      const found = [];
      for (const img of figures()) {
        const what = `figure ${nameOf(img)}`;
        if (!img.complete || img.naturalWidth === 0) found.push(`${what} is not loaded`);
        else if (!seen(img) || img.getBoundingClientRect().width < 2) found.push(`${what} is not visible`);
        if (!(img.getAttribute('alt') || '').trim()) found.push(`${what} has no alternative text`);
      }
      return found;
    },

    widgets() {
      return [...document.querySelectorAll('div.wb-widget')].flatMap((widget, n) => {
        const box = widget.getBoundingClientRect();
        const found = [];
        if (!seen(widget) || box.width < 50 || box.height < 50) found.push(`widget ${n + 1} is not visible`);
        if (widget.dataset.live !== 'true') found.push(`widget ${n + 1} is not live`);
        return found;
      });
    },

    darkFigures() {
      return figures().filter(img => img.naturalWidth && seen(img)).flatMap(img => {
        const [r, g, b, alpha] = corner(img);
        const shown = alpha > 128 ? [r, g, b] : ground(img);
        return light(shown) > 0.5 ? [] : [`figure ${nameOf(img)} stands on a dark ground: rgb(${shown})`];
      });
    },

    onPaper() {
      const useless = 'nav, .bd-sidebar-primary, .bd-sidebar-secondary, .bd-header, .bd-header-article, ' +
        '.prev-next-area, .wb-download, button, input[type=search], [role=search]';
      const found = [...document.querySelectorAll(useless)].filter(
        e => !e.closest('.wb-widget, .onlyprint') && seen(e) && e.getBoundingClientRect().height > 1);
      const cut = [...document.querySelectorAll('main *')].filter(
        e => seen(e) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1 &&
          ['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(e).overflowX) && e.innerText?.trim());
      return [...found.slice(0, 5).map(e => `on paper stands ${path(e)}`),
        ...cut.slice(0, 5).map(e => `on paper is cut off: ${path(e)}, ${e.scrollWidth - e.clientWidth} px`)];
    },
  };
})();
