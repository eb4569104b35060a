// The explorer: what was chosen, and what happens when that changes.

const root = document.getElementById('explorer');
const world = readWorld(document.getElementById('explorer-data').textContent);
const unit = lossUnit(world);
const find = (name) => root.querySelector(`[data-part="${name}"]`);
const parts = Object.fromEntries(['map', 'tip', 'user', 'users', 'view', 'colour', 'radius', 'summary', 'legend', 'note',
  'helpers', 'hurters', 'settings', 'all', 'everyone', 'unknown'].map((name) => [name, find(name)]));
const minis = [...root.querySelectorAll('[data-mini]')];
const first = Math.max(0, world.settings.findIndex((one) => one.key === 'masked'));
const state = { setting: first, view: 'principal', colour: 0, radius: 0, chosen: firstUser(world, world.settings[first]), partner: null };
let places = [];
let size = [0, 0];

function portraits() { return world.settings.map((setting) => portraitOf(world, setting, state.chosen, state.radius)); }

function swatch(kind, content) { return element('li', {}, make('svg', { viewBox: '-9 -9 18 18', 'aria-hidden': 'true', class: kind }, ...content)); }

function drawLegend() {
  const classes = state.colour >= 0 ? world.classes[state.colour].names.map((name, k) => [k % SHAPES.length, `hue-${k % SHAPES.length}`, name])
    : [[2, 'hue-help', 'helps'], [4, 'hue-hurt', 'hurts']];
  const marks = classes.map(([shape, hue, name]) => {
    const item = swatch('', [make('g', { class: `mark ${hue}` }, make('path', { d: SHAPES[shape] }))]);
    item.append(name);
    return item;
  });
  const signs = [
    ['five strongest helpers', make('line', { class: 'edge help', x1: -8, x2: 8, y1: 0, y2: 0 })],
    ['five who hurt most', make('line', { class: 'edge hurt', x1: -8, x2: 8, y1: 0, y2: 0 })],
    ['inside, certified', make('circle', { class: 'ring certified', r: 7 })],
    ['inside, heuristic only', make('circle', { class: 'ring heuristic', r: 7 })],
  ].map(([words, sign]) => { const item = swatch('', [sign]); item.append(words); return item; });
  parts.legend.replaceChildren(...marks, ...signs);
}

function noteOf(setting, portrait) {
  const name = RADIUS_NAMES[state.radius];
  const none = portrait.heuristicReach ? '' : ` The ${name} is zero for every pair here, so there is no disc.`;
  const discs = `Each pair has its own ${name}. The disc is the largest of this user, solid if certified, dashed if heuristic, and vouches for its own pair alone; looking at somebody shows that pair's. Rings mark who is inside their own.${none}`;
  return {
    principal: `Posterior means on two axes that hold ${shortNumber(100 * setting.explained)} % of their variance; ellipses at one and two standard deviations. ${discs} The map is flat: who is outside a disc here is outside, who seems inside may be far off in the other dimensions.`,
    neighbourly: 't-SNE keeps who is near whom, not how far: it has no unit, so no disc can be drawn.',
    distance: `Everyone at the true distance W₁ from the chosen user (upper bound), in the direction of the map. ${discs} Here a disc is exact for its own pair.`,
  }[state.view];
}

function update() {
  const all = portraits();
  const setting = world.settings[state.setting];
  const portrait = all[state.setting];
  drawMaps(all);
  drawLegend();
  parts.note.textContent = noteOf(setting, portrait);
  const summary = summaryOf(world, state, setting, portrait, unit);
  if (parts.summary.textContent !== summary) parts.summary.textContent = summary;
  parts.user.value = world.names[state.chosen];
  const rows = (list) => (list.length ? partnerRows(world, state, list, unit, look, choose)
    : [element('tr', {}, element('td', { colspan: '6' }, 'nobody'))]);
  parts.helpers.replaceChildren(...rows(portrait.helpers.slice(0, LINES)));
  parts.hurters.replaceChildren(...rows(portrait.hurters.slice(0, LINES)));
  parts.settings.replaceChildren(...settingRows(world, state, all));
  if (parts.all.open) fillAll(portrait);
}

function fillAll(portrait) {
  const sorted = [...portrait.partners].sort((a, b) => a.change - b.change || a.v - b.v);
  parts.everyone.replaceChildren(...partnerRows(world, state, sorted, unit, look, choose));
}

function drawMaps(all) {
  size = [parts.map.clientWidth || 640, Math.round(Math.min(560, Math.max(330, (parts.map.clientWidth || 640) * 0.78)))];
  places = big.draw(state, world.settings[state.setting], all[state.setting], ...size);
  const view = state.view === 'neighbourly' ? 'neighbourly' : 'principal';
  small.forEach((map, i) => map.draw({ ...state, view, partner: null }, world.settings[i], all[i], 220, 150));
}

function choose(v) {
  state.chosen = v;
  state.partner = null;
  hideTip();
  update();
}

function look(v) {
  if (state.partner === v) return;
  state.partner = v;
  drawMaps(portraits());
  if (v === null || v === state.chosen) hideTip(); else showTip(v);
}

function hideTip() { parts.tip.hidden = true; }

function showTip(v) {
  const one = partnerOf(world, world.settings[state.setting], state.chosen, v, state.radius);
  const verb = one.change < 0 ? 'helps' : one.change > 0 ? 'hurts' : 'does nothing';
  parts.tip.replaceChildren(
    element('strong', {}, `user ${world.names[v]}`), ` ${verb}: loss ${shortNumber(one.change * unit.scale)} (${unit.words})`, element('br', {}),
    `W₁ ${shortNumber(one.distance)}, cosine ${shortNumber(one.cosine)}, ${sharedItems(world, state.chosen, v).length} shared items`, element('br', {}),
    standingWords(one, state.radius));
  parts.tip.hidden = false;
  const ratio = parts.map.clientWidth / size[0] || 1;
  const [x, y] = places[v].map((value) => value * ratio);
  const [w, h] = [parts.tip.offsetWidth, parts.tip.offsetHeight];
  parts.tip.style.left = `${Math.max(0, Math.min(parts.map.clientWidth - w, x - w / 2))}px`;
  parts.tip.style.top = `${y - h - 16 < 0 ? y + 18 : y - h - 16}px`;
}

function nearestTo(event, most) {
  const box = parts.map.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) * (size[0] / box.width), (event.clientY - box.top) * (size[1] / box.height)];
  let [best, least] = [null, most];
  places.forEach(([a, b], v) => {
    const far = Math.hypot(a - x, b - y);
    if (far < least) { least = far; best = v; }
  });
  return best;
}

// The nearest user in a direction; what lies aside counts double.
function neighbourIn(dx, dy) {
  const [x, y] = places[state.chosen];
  let [best, least] = [null, Infinity];
  places.forEach(([a, b], v) => {
    const along = (a - x) * dx + (b - y) * dy;
    const aside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
    if (v !== state.chosen && along > 0.5 && along + 2 * aside < least) { least = along + 2 * aside; best = v; }
  });
  return best;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  const edge = { Home: 0, End: world.n - 1 }[event.key];
  const next = event.key in ARROWS ? neighbourIn(...ARROWS[event.key]) : edge;
  if (next === undefined) return;
  event.preventDefault();
  if (next !== null) choose(next);
}

function onSearch() {
  const text = parts.user.value.trim().replace(/^user\s+/i, '');
  const v = world.names.indexOf(text);
  parts.unknown.textContent = v < 0 && text ? `No user here is called ${text}.` : '';
  if (v >= 0 && v !== state.chosen) choose(v);
}

function listen(part, name, read) {
  part.addEventListener('change', () => { state[name] = read(part.value); update(); });
}

root.hidden = false;
const big = makeMap(parts.map, world, false);
const small = minis.map((svg) => makeMap(svg, world, true));
root.querySelectorAll('[data-unit]').forEach((place) => { place.textContent = unit.words; });
parts.users.append(...world.names.map((name, v) => element('option', { value: name }, `${world.sizes[v]} items`)));
root.querySelectorAll('input[name="explorer-setting"]').forEach((input, i) => {
  input.checked = i === state.setting;
  input.addEventListener('change', () => { state.setting = i; update(); });
});
listen(parts.view, 'view', String);
listen(parts.colour, 'colour', Number);
listen(parts.radius, 'radius', Number);
parts.user.addEventListener('change', onSearch);
parts.user.addEventListener('input', () => { if (world.names.includes(parts.user.value.trim())) onSearch(); });
[['back', -1], ['next', 1]].forEach(([name, by]) => {
  find(name).addEventListener('click', () => choose((state.chosen + by + world.n) % world.n));
});
parts.map.addEventListener('keydown', onKey);
parts.map.addEventListener('click', (event) => { const v = nearestTo(event, 24); if (v !== null) choose(v); });
parts.map.addEventListener('pointermove', (event) => { if (event.pointerType === 'mouse') look(nearestTo(event, 16)); });
parts.map.addEventListener('pointerleave', () => look(null));
parts.all.addEventListener('toggle', () => { if (parts.all.open) fillAll(portraitOf(world, world.settings[state.setting], state.chosen, state.radius)); });
new ResizeObserver(() => { if (parts.map.clientWidth !== size[0]) drawMaps(portraits()); }).observe(parts.map.parentElement);
update();
// Marks are in place before they begin to move.
requestAnimationFrame(() => root.classList.add('ready'));
