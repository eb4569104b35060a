// What the page holds, decoded, and what it says of one user under one setting.

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

function floatsOf(text) { return new Float32Array(bytesOf(text).buffer); }

function denseOf(sparse, length) {
  const dense = new Float32Array(length);
  const values = floatsOf(sparse.values);
  new Uint32Array(bytesOf(sparse.places).buffer).forEach((place, i) => { dense[place] = values[i]; });
  return dense;
}

function readWorld(text) {
  const held = JSON.parse(text);
  const n = held.names.length;
  const settings = held.settings.map((one) => ({
    key: one.key,
    label: one.label,
    explained: one.explained,
    principal: floatsOf(one.principal),
    covariance: floatsOf(one.covariance),
    neighbourly: floatsOf(one.neighbourly),
    distance: floatsOf(one.distance),
    cosine: floatsOf(one.cosine),
    change: floatsOf(one.change),
    inside: bytesOf(one.inside),
    radii: one.radii.map((radius) => denseOf(radius, n * n)),
  }));
  return Object.assign(held, { n, settings });
}

function sharedItems(world, u, v) {
  const mine = new Set(world.histories[u]);
  return world.histories[v].filter((item) => mine.has(item)).map((item) => world.titles[item]);
}

// Of the kind of radius (0: sharing, 2: aligned): its bit for certified, the next one for heuristic.
function standing(world, setting, u, v, kind) {
  const bits = setting.inside[u * world.n + v] >> kind;
  return bits & 1 ? 'certified' : bits & 2 ? 'heuristic' : 'outside';
}

function partnerOf(world, setting, u, v, kind) {
  const at = u * world.n + v;
  return {
    v,
    distance: setting.distance[at],
    cosine: setting.cosine[at],
    change: setting.change[at],
    certified: setting.radii[kind][at],
    heuristic: setting.radii[kind + 1][at],
    standing: standing(world, setting, u, v, kind),
  };
}

function portraitOf(world, setting, u, kind) {
  const partners = [];
  for (let v = 0; v < world.n; v += 1) {
    const one = v === u ? null : partnerOf(world, setting, u, v, kind);
    if (one && !Number.isNaN(one.change)) partners.push(one);
  }
  const helpers = partners.filter((one) => one.change < 0).sort((a, b) => a.change - b.change || a.v - b.v);
  const hurters = partners.filter((one) => one.change > 0).sort((a, b) => b.change - a.change || a.v - b.v);
  const certified = partners.filter((one) => one.standing === 'certified');
  const within = partners.filter((one) => one.standing !== 'outside');
  const largest = (name) => partners.reduce((most, one) => (one[name] > (most ? most[name] : 0) ? one : most), null);
  return {
    u, partners, helpers, hurters, certified, within,
    reach: largest('certified'), heuristicReach: largest('heuristic'), // null where every radius is zero
  };
}

// Whom to show first: someone of whom the theory says the most.
function firstUser(world, setting) {
  let best = 0;
  let most = -1;
  for (let u = 0; u < world.n; u += 1) {
    let said = 0;
    for (let v = 0; v < world.n; v += 1) {
      const bits = setting.inside[u * world.n + v];
      said += (bits & 5 ? 100 : 0) + (bits & 10 ? 1 : 0);
    }
    if (said > most) { most = said; best = u; }
  }
  return best;
}
