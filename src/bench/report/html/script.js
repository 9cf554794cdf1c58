'use strict';
// For convenience: the page is complete without it.
document.documentElement.classList.add('script');
for (const button of document.querySelectorAll('button[data-copy]')) {
  button.addEventListener('click', async () => {
    const code = document.getElementById(button.dataset.copy);
    let copied = false;
    try {
      await navigator.clipboard.writeText(code.textContent);
      copied = true;
    } catch {
      getSelection().selectAllChildren(code);
    }
    button.textContent = copied ? 'Copied' : 'Selected: press Ctrl+C';
  });
}
for (const button of document.querySelectorAll('button[data-save]')) {
  button.addEventListener('click', () => {
    const text = document.getElementById(button.dataset.save).textContent;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}
// A line through all drawings of a run at the second under the pointer, and its figures.
for (const group of document.querySelectorAll('.timeline')) {
  const readout = document.createElement('p');
  readout.className = 'readout';
  readout.setAttribute('aria-hidden', 'true');
  group.append(readout);
  const lines = Array.from(group.querySelectorAll('svg.time'), (chart) => {
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    line.setAttribute('class', 'cursor');
    line.setAttribute('y2', '100%');
    chart.append(line);
    return line;
  });
  const show = (event) => {
    const place = event.target.closest('.place');
    group.classList.toggle('pointed', Boolean(place));
    if (!place) {
      return;
    }
    const middle = Number(place.getAttribute('x')) + Number(place.getAttribute('width')) / 2;
    for (const line of lines) {
      line.setAttribute('x1', `${middle / 10}%`);
      line.setAttribute('x2', `${middle / 10}%`);
    }
    readout.textContent = place.firstElementChild.textContent.split('\n').join(' · ');
  };
  group.addEventListener('pointermove', show);
  group.addEventListener('pointerdown', show);
  group.addEventListener('pointerleave', () => group.classList.remove('pointed'));
}
