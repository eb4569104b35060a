// Words: numbers, sentences and tables about the chosen user.

const RADIUS_NAMES = { 0: 'sharing radius', 2: 'aligned radius' };
const MOST_TITLES = 4;

function shortNumber(value, digits = 3) {
  if (Number.isNaN(value)) return 'n/a';
  if (value === 0) return '0';
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(digits)));
  return text.replace(/-/g, '−');
}

function percent(part, whole) { return whole ? `${shortNumber((100 * part) / whole)} %` : 'n/a'; }

// Losses in thousandths, millionths ... of a nat, so that the largest is readable.
function lossUnit(world) {
  let most = 0;
  world.settings.forEach((setting) => setting.change.forEach((value) => { if (Math.abs(value) > most) most = Math.abs(value); }));
  const power = most > 0 ? Math.min(0, 3 * Math.floor(Math.log10(most) / 3)) : 0;
  const raised = String(-power).split('').map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[digit]).join('');
  return { scale: 10 ** -power, words: power ? `10⁻${raised} nats` : 'nats' };
}

function standingWords(one, kind) {
  const name = RADIUS_NAMES[kind];
  if (one.standing === 'certified') return `inside the certified ${name}, ${shortNumber(one.certified)}`;
  if (one.standing === 'heuristic') return `inside the heuristic ${name} only, ${shortNumber(one.heuristic)}`;
  if (one.heuristic > 0) return `outside; radius ${shortNumber(one.certified)} (heuristic ${shortNumber(one.heuristic)})`;
  return 'outside; radius is zero';
}

function summaryOf(world, state, setting, portrait, unit) {
  const others = portrait.partners.length;
  const name = RADIUS_NAMES[state.radius];
  const counted = (list) => {
    if (!list.length) return 'nobody';
    const helping = list.filter((one) => one.change < 0).length;
    return `${list.length} (${helping} ${helping === 1 ? 'helps' : 'help'})`;
  };
  const sentences = [
    `User ${world.names[state.chosen]} (${world.sizes[state.chosen]} items), ${setting.label}.`,
    `Measured: ${portrait.helpers.length} of ${others} others help (${percent(portrait.helpers.length, others)}), ${portrait.hurters.length} hurt.`,
  ];
  if (!portrait.reach) sentences.push(`By theory: the certified ${name} is zero for every pair, so it vouches for nobody.`);
  else sentences.push(`By theory: inside the certified ${name}, ${counted(portrait.certified)}.`);
  if (portrait.heuristicReach) sentences.push(`Inside the heuristic one, ${counted(portrait.within)}.`);
  const best = portrait.helpers[0];
  if (best) sentences.push(`Strongest helper: user ${world.names[best.v]}, loss ${shortNumber(best.change * unit.scale)} × ${unit.words}.`.replace('× nats', 'nats'));
  return sentences.join(' ');
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

function titlesOf(world, u, v) {
  const titles = sharedItems(world, u, v);
  if (!titles.length) return element('span', { class: 'soft' }, 'none');
  const cell = element('span', {}, `${titles.length}: ${titles.slice(0, MOST_TITLES).join('; ')}`);
  if (titles.length > MOST_TITLES) {
    const rest = titles.slice(MOST_TITLES);
    cell.append('; ', element('details', {}, element('summary', {}, `${rest.length} more`), rest.join('; ')));
  }
  return cell;
}

// A row for each partner; the name is a button that chooses it.
function partnerRows(world, state, partners, unit, onLook, onChoose) {
  return partners.map((one) => {
    const name = element('button', { type: 'button' }, `user ${world.names[one.v]}`);
    name.addEventListener('click', () => onChoose(one.v));
    name.addEventListener('focus', () => onLook(one.v));
    name.addEventListener('blur', () => onLook(null));
    const row = element('tr', {},
      element('th', { scope: 'row' }, name),
      element('td', { class: 'number', 'data-label': `loss (${unit.words})` }, shortNumber(one.change * unit.scale)),
      element('td', { class: 'number', 'data-label': 'W₁' }, shortNumber(one.distance)),
      element('td', { class: 'number', 'data-label': 'cosine' }, shortNumber(one.cosine)),
      element('td', { 'data-label': 'radius' }, standingWords(one, state.radius)),
      element('td', { class: 'titles', 'data-label': 'shared items' }, titlesOf(world, state.chosen, one.v)));
    row.addEventListener('pointerenter', () => onLook(one.v));
    row.addEventListener('pointerleave', () => onLook(null));
    return row;
  });
}

// The same user under every setting, a row each; kept: who of the ten strongest helpers is among those of the shown one.
function settingRows(world, state, portraits) {
  const ten = (portrait) => portrait.helpers.slice(0, 10).map((one) => one.v);
  const shown = new Set(ten(portraits[state.setting]));
  return world.settings.map((setting, i) => {
    const portrait = portraits[i];
    const best = portrait.helpers[0];
    const own = ten(portrait);
    const cells = [
      ['helped by', percent(portrait.helpers.length, portrait.partners.length)],
      ['inside certified', String(portrait.certified.length)],
      ['inside heuristic', String(portrait.within.length)],
      ['strongest helper', best ? `user ${world.names[best.v]}` : 'nobody'],
      ['top 10 in common', i === state.setting ? 'shown' : `${own.filter((v) => shown.has(v)).length} of ${own.length}`],
    ];
    return element('tr', i === state.setting ? { class: 'current' } : {},
      element('th', { scope: 'row' }, setting.label),
      ...cells.map(([label, text]) => element('td', { 'data-label': label }, text)));
  });
}
