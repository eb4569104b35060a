// Drawing: users as marks in a plane, the chosen one with its ellipse, discs and lines to those who matter to it.

const SVG = 'http://www.w3.org/2000/svg';
const SHAPES = [
  'M0-5A5 5 0 1 0 0 5A5 5 0 1 0 0-5Z',
  'M-4.6-4.6H4.6V4.6H-4.6Z',
  'M0-6.2L5.6 4.2H-5.6Z',
  'M0-6.4L6 0L0 6.4L-6 0Z',
  'M0 6.2L5.6-4.2H-5.6Z',
  'M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z',
  'M0-6.4L1.8-2.2L6.2-2L2.8 1L4 5.6L0 3L-4 5.6L-2.8 1L-6.2-2L-1.8-2.2Z',
  'M-5-3L0-6L5-3V3L0 6L-5 3Z',
];
const LINES = 5;

function make(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
}

function classOf(world, state, portrait, v) {
  if (state.colour >= 0) return world.classes[state.colour].members[v] % SHAPES.length;
  const one = portrait.partners.find((partner) => partner.v === v);
  return !one || one.change === 0 ? 0 : one.change < 0 ? 2 : 4;
}

function hueOf(state, kind) { return state.colour >= 0 ? `hue-${kind}` : { 0: 'hue-none', 2: 'hue-help', 4: 'hue-hurt' }[kind]; }

// Where everyone is in the chosen view, in the units of that view.
function placesOf(world, setting, state) {
  const source = state.view === 'neighbourly' ? setting.neighbourly : setting.principal;
  const places = Array.from({ length: world.n }, (_, v) => [source[2 * v], source[2 * v + 1]]);
  if (state.view !== 'distance') return places;
  const [x, y] = places[state.chosen];
  return places.map(([a, b], v) => {
    const r = setting.distance[state.chosen * world.n + v];
    const angle = Math.atan2(b - y, a - x);
    return v === state.chosen || Number.isNaN(r) ? [0, 0] : [r * Math.cos(angle), r * Math.sin(angle)];
  });
}

// One scale for both directions, so that a disc is round.
function frameOf(places, state, width, height, pad) {
  const xs = places.map((place) => place[0]);
  const ys = places.map((place) => place[1]);
  let [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  if (state.view === 'distance') {
    const most = Math.max(...places.map(([x, y]) => Math.hypot(x, y))) || 1;
    [left, right, low, high] = [-most, most, -most, most];
  }
  const room = [width - pad.left - pad.right, height - pad.top - pad.bottom];
  const scale = Math.min(room[0] / (right - left || 1), room[1] / (high - low || 1)) || 1;
  const middle = [pad.left + room[0] / 2, pad.top + room[1] / 2];
  const centre = [(left + right) / 2, (low + high) / 2];
  return {
    scale,
    x: (value) => middle[0] + (value - centre[0]) * scale,
    y: (value) => middle[1] - (value - centre[1]) * scale,
    from: (px, py) => [(px - middle[0]) / scale + centre[0], (middle[1] - py) / scale + centre[1]],
  };
}

function stepFor(span, about) {
  const raw = span / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= 0.7 * raw);
}

function axesOf(frame, state, width, height, pad) {
  const group = make('g', { class: 'axes' });
  const words = (x, y, text, more) => group.append(make('text', { x, y, ...more }, text));
  const [left, high] = frame.from(pad.left, pad.top);
  const [right, low] = frame.from(width - pad.right, height - pad.bottom);
  if (state.view === 'distance') {
    const most = Math.min(right - left, high - low) / 2;
    const step = stepFor(most, 4);
    for (let r = step; r <= most * 1.001; r += step) {
      group.append(make('circle', { cx: frame.x(0), cy: frame.y(0), r: r * frame.scale }));
      words(frame.x(0) + 4, frame.y(r) + 13, `W₁ = ${shortNumber(r)}`, {});
    }
    return group;
  }
  if (state.view === 'neighbourly') return group;
  const step = stepFor(Math.min(right - left, high - low), Math.max(3, Math.min(width, height) / 110));
  const ends = { x: [left, right], y: [low, high] };
  const ticks = (side) => {
    const found = [];
    for (let k = Math.ceil(ends[side][0] / step); k * step <= ends[side][1]; k += 1) found.push(k * step);
    return found;
  };
  ticks('x').forEach((value) => {
    group.append(make('line', { x1: frame.x(value), x2: frame.x(value), y1: pad.top, y2: height - pad.bottom }));
    words(frame.x(value), height - pad.bottom + 15, shortNumber(value), { 'text-anchor': 'middle' });
  });
  ticks('y').forEach((value) => {
    group.append(make('line', { x1: pad.left, x2: width - pad.right, y1: frame.y(value), y2: frame.y(value) }));
    words(pad.left - 6, frame.y(value) + 4, shortNumber(value), { 'text-anchor': 'end' });
  });
  words((pad.left + width - pad.right) / 2, height - 6, 'first map axis (latent units)', { 'text-anchor': 'middle' });
  const middle = (pad.top + height - pad.bottom) / 2;
  words(12, middle, 'second map axis (latent units)', { 'text-anchor': 'middle', transform: `rotate(-90 12 ${middle})` });
  return group;
}

// Ellipse of one posterior at so many standard deviations: axes of its 2 x 2 covariance.
function ellipseOf(setting, v, frame, deviations) {
  const [xx, yy, xy] = setting.covariance.slice(3 * v, 3 * v + 3);
  const half = (xx + yy) / 2;
  const root = Math.hypot((xx - yy) / 2, xy);
  const angle = (Math.atan2(2 * xy, xx - yy) / 2) * (180 / Math.PI);
  const [x, y] = [frame.x(setting.principal[2 * v]), frame.y(setting.principal[2 * v + 1])];
  const [a, b] = [half + root, half - root].map((value) => Math.sqrt(Math.max(0, value)) * deviations * frame.scale);
  return make('ellipse', { class: 'ellipse', cx: x, cy: y, rx: a, ry: b, transform: `rotate(${-angle} ${x} ${y})` });
}

function discOf(frame, place, radius, kind, words, corner) {
  const [x, y] = corner;
  return make('g', { class: `disc ${kind}` },
    make('circle', { cx: frame.x(place[0]), cy: frame.y(place[1]), r: radius * frame.scale }),
    make('line', { x1: x, x2: x + 22, y1: y - 4, y2: y - 4 }),
    make('text', { x: x + 28, y }, words));
}

// A map in an SVG element: marks are made once and move, everything else is drawn anew.
function makeMap(svg, world, mini) {
  const back = make('g', { class: 'back' });
  const front = make('g', { class: 'front' });
  const marks = world.names.map(() => make('g', { class: 'mark' }, make('path', { d: SHAPES[0] })));
  svg.append(back, make('g', { class: 'marks' }, ...marks), front);
  const pad = mini ? { left: 8, right: 8, top: 8, bottom: 8 } : { left: 44, right: 14, top: 46, bottom: 40 };

  function draw(state, setting, portrait, width, height) {
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const places = placesOf(world, setting, state);
    const room = { principal: pad, distance: { ...pad, left: 14, bottom: 14 }, neighbourly: { ...pad, left: 14, top: 14, bottom: 14 } }[state.view];
    const frame = frameOf(places, state, width, height, room);
    const at = places.map(([x, y]) => [frame.x(x), frame.y(y)]);
    const strong = [...portrait.helpers.slice(0, LINES), ...portrait.hurters.slice(0, LINES)].map((one) => one.v);
    const pinned = new Set([state.chosen, state.partner, ...strong, ...portrait.within.map((one) => one.v)]);
    marks.forEach((mark, v) => {
      const kind = classOf(world, state, portrait, v);
      const size = (mini ? 0.5 : 1) * (v === state.chosen ? 1.6 : pinned.has(v) ? 1.3 : 1.05);
      mark.style.transform = `translate(${at[v][0].toFixed(1)}px, ${at[v][1].toFixed(1)}px) scale(${size})`;
      mark.firstChild.setAttribute('d', SHAPES[v === state.chosen && state.colour < 0 ? 0 : kind]);
      mark.setAttribute('class', `mark ${hueOf(state, kind)}${pinned.has(v) ? ' pinned' : ''}${v === state.chosen ? ' chosen' : ''}`);
    });
    const [cx, cy] = at[state.chosen];
    const line = (one, kind) => make('line', { class: kind, x1: cx, y1: cy, x2: at[one.v][0], y2: at[one.v][1] });
    front.replaceChildren();
    back.replaceChildren(
      ...portrait.hurters.slice(0, LINES).map((one) => line(one, 'edge hurt')),
      ...portrait.helpers.slice(0, LINES).map((one) => line(one, 'edge help')),
    );
    if (mini) return at;
    back.prepend(axesOf(frame, state, width, height, pad));
    if (state.view !== 'neighbourly') drawDiscs(state, portrait, frame, places[state.chosen]);
    if (state.view === 'principal') [1, 2].forEach((k) => front.append(ellipseOf(setting, state.chosen, frame, k)));
    portrait.within.forEach((one) => front.append(make('circle', { class: `ring ${one.standing}`, cx: at[one.v][0], cy: at[one.v][1], r: 10 })));
    if (state.partner !== null) front.append(make('circle', { class: 'halo', cx: at[state.partner][0], cy: at[state.partner][1], r: 13 }));
    front.append(make('circle', { class: 'halo chosen', cx, cy, r: 13 }));
    const rightward = cx < width * 0.6;
    front.append(make('text', { class: 'name', x: cx + (rightward ? 18 : -18), y: cy + 4, 'text-anchor': rightward ? 'start' : 'end' }, `user ${world.names[state.chosen]}`));
    return at;
  }

  // Of the pair that is looked at, else of the pair with the largest radius.
  function drawDiscs(state, portrait, frame, place) {
    const looked = portrait.partners.find((partner) => partner.v === state.partner);
    [['heuristic', looked || portrait.heuristicReach], ['certified', looked || portrait.reach]].forEach(([kind, one], i) => {
      if (!one || !(one[kind] > 0)) return;
      const words = `radius ${kind}, for user ${world.names[one.v]}: ${shortNumber(one[kind])}`;
      front.append(discOf(frame, place, one[kind], kind, words, [14, 34 - 18 * i]));
    });
  }

  return { draw };
}
