// The gallery of a report: draws over each picture what was hit, missed and falsely found; filters and sorts.
"use strict";

const [NOTHING, HIT, MISSED, FALSE] = [0, 1, 2, 3]; // what a pixel is
const COLOURS = { [HIT]: [100, 143, 255], [MISSED]: [255, 176, 0], [FALSE]: [220, 38, 127] };
const FILL = 128; // opacity over a ship itself, of 255: the picture shines through
const MASK_CUT = 127; // between black and white
const MARGIN = 3; // pixels around all that is computed here, so that no neighbour of a pixel is missing

const gallery = document.getElementById("gallery");
const dialog = document.getElementById("enlarged");
const tools = document.getElementById("tools");
const { kind, size, order, cut, threshold, count } = tools.elements; // without probabilities there is no cut
const run = { cut: Number(tools.dataset.cut), threshold: Number(tools.dataset.threshold) };
const [minimumArea, minimumScore] = [Number(tools.dataset.minimumArea), Number(tools.dataset.minimumScore)];

/** An image of the gallery. Of its pixels only those are kept that may be ship; nearly all are water. */
class Exhibit {
  constructor(figure) {
    const { name, dice, ships, sizes, probabilities } = figure.dataset;
    Object.assign(this, { figure, name, dice: Number(dice), ships: Number(ships), sizes: sizes.split(" ") });
    this.isEmpty = figure.hasAttribute("data-empty");
    this.hasProbabilities = probabilities !== "";
    this.image = figure.querySelector("img");
    this.canvas = figure.querySelector("canvas");
    this.width = Number(this.image.getAttribute("width")) + 2 * MARGIN;
    this.height = Number(this.image.getAttribute("height")) + 2 * MARGIN;
    this.judgedAt = run.cut;
    this.isNear = false; // to what is seen of the page
  }

  /** Read the pixels, once. */
  load() {
    this.loading ??= this.read();
    return this.loading;
  }

  async read() {
    const truth = await this.grayPixels(this.figure.dataset.truth);
    const found = await this.grayPixels(this.figure.dataset.found);
    this.truth = placesAbove(truth, MASK_CUT);
    this.found = placesAbove(found, MASK_CUT);
    if (!this.hasProbabilities) return;
    const values = await this.grayPixels(this.figure.dataset.probabilities);
    this.candidates = placesAbove(values, 0);
    this.values = this.candidates.map((place) => values[place]);
  }

  async grayPixels(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.width, this.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, MARGIN, MARGIN);
    const colours = context.getImageData(0, 0, this.width, this.height).data;
    const values = new Uint8Array(this.width * this.height);
    for (let place = 0; place < values.length; place++) values[place] = colours[4 * place];
    return values;
  }

  /** Say of each pixel whether it is hit, missed or false at the threshold that is set, and how good that is. */
  look() {
    const isRun = !this.hasProbabilities || Number(cut.value) === run.cut;
    const predicted = isRun ? this.found : this.foundAbove(Number(cut.value));
    const kinds = new Uint8Array(this.width * this.height);
    for (const place of this.truth) kinds[place] = MISSED;
    let shared = 0;
    for (const place of predicted) {
      kinds[place] = kinds[place] === MISSED ? HIT : FALSE;
      shared += kinds[place] === HIT;
    }
    const pixels = this.truth.length + predicted.length;
    return { kinds, dice: pixels ? (2 * shared) / pixels : 1 };
  }

  /** Find the ships above another limit than the run's. A mean of rounded values is off by half of 1 at most. */
  foundAbove(limit) {
    const left = new Uint8Array(this.width * this.height); // what is above and in no object yet
    this.candidates.forEach((place, number) => {
      if (this.values[number] > limit) left[place] = this.values[number];
    });
    const found = [];
    for (const first of this.candidates) {
      if (!left[first]) continue;
      const { places, sum } = takeObject(left, first, this.width);
      const isShip = places.length >= minimumArea && sum >= 255 * minimumScore * places.length;
      if (isShip) for (const place of places) found.push(place);
    }
    return found;
  }

  /** Judge the ships at the threshold that is set, and draw them if they can be seen. */
  async update() {
    await this.load();
    const { kinds, dice } = this.look();
    if (this.hasProbabilities) {
      [this.dice, this.judgedAt] = [dice, Number(cut.value)];
      this.figure.querySelector(".dice").value = dice.toFixed(3);
    }
    if (this.isNear) this.draw(this.canvas, kinds, outlineWidth(this.width));
  }

  /** Fill ships and outline them just outside, a false pixel above a missed one above a hit. */
  draw(canvas, kinds, outline) {
    const picture = new ImageData(this.width, this.height);
    const paint = (place, kind, opacity) => picture.data.set([...COLOURS[kind], opacity], 4 * place);
    const around = disc(outline, this.width);
    const sides = disc(1, this.width);
    for (const kind of [HIT, MISSED, FALSE]) {
      for (const place of placesOf(kinds, kind)) {
        if (sides.some((step) => kinds[place + step] === NOTHING)) {
          for (const step of around) if (kinds[place + step] === NOTHING) paint(place + step, kind, 255);
        }
        paint(place, kind, FILL);
      }
    }
    [canvas.width, canvas.height] = [this.width - 2 * MARGIN, this.height - 2 * MARGIN];
    canvas.getContext("2d").putImageData(picture, -MARGIN, -MARGIN);
  }
}

function placesAbove(values, limit) {
  return placesWhere(values, (value) => value > limit);
}

function placesOf(kinds, kind) {
  return placesWhere(kinds, (value) => value === kind);
}

function placesWhere(values, isWanted) {
  const places = [];
  values.forEach((value, place) => {
    if (isWanted(value)) places.push(place);
  });
  return places;
}

/** Steps from a pixel to those around it, at most `radius` away, in a picture of some width. */
function disc(radius, width) {
  const steps = [];
  for (let row = -radius; row <= radius; row++) {
    for (let column = -radius; column <= radius; column++) {
      if (row * row + column * column <= radius * radius) steps.push(row * width + column);
    }
  }
  return steps;
}

/** Take the object at a place out of what is left: its places, the sum of their values. Pixels touch at corners too. */
function takeObject(left, first, width) {
  const steps = [-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1];
  const places = [first];
  let sum = left[first];
  left[first] = 0;
  for (let next = 0; next < places.length; next++) {
    for (const step of steps) {
      const place = places[next] + step;
      if (left[place]) {
        places.push(place);
        sum += left[place];
        left[place] = 0;
      }
    }
  }
  return { places, sum };
}

function outlineWidth(width) {
  return Math.min(Math.max(Math.round(width / 256), 1), MARGIN);
}

const exhibits = Array.from(document.querySelectorAll(".exhibit"), (figure) => new Exhibit(figure));

const ORDERS = {
  dice: (one, other) => one.isEmpty - other.isEmpty || one.dice - other.dice,
  name: (one, other) => (one.name < other.name ? -1 : 1),
  ships: (one, other) => other.ships - one.ships,
};

function isShown(exhibit) {
  const isOfKind = kind.value === "all" || Number(exhibit.figure.dataset[kind.value]) > 0;
  return isOfKind && (size.value === "all" || exhibit.sizes.includes(size.value));
}

function arrange() {
  gallery.append(...[...exhibits].sort(ORDERS[order.value]).map((exhibit) => exhibit.figure));
  for (const exhibit of exhibits) exhibit.figure.hidden = !isShown(exhibit);
}

/** Bring what is shown to the threshold that is set, and say what it is. */
async function judge() {
  const shown = exhibits.filter(isShown);
  if (cut) {
    const value = Number(cut.value);
    threshold.value = (value === run.cut ? run.threshold : value / 255).toFixed(3);
    const stale = shown.filter((exhibit) => exhibit.hasProbabilities && exhibit.judgedAt !== value);
    await Promise.all(stale.map((exhibit) => exhibit.update()));
  }
  const judged = cut ? shown.filter((exhibit) => exhibit.hasProbabilities) : shown;
  const mean = judged.reduce((sum, exhibit) => sum + exhibit.dice, 0) / judged.length;
  const part = judged.length < shown.length ? ` of the ${judged.length} with probabilities` : "";
  const dice = judged.length ? `, mean dice ${mean.toFixed(3)}${part}` : "";
  count.value = `${shown.length} of ${exhibits.length} images shown${dice}`;
}

async function enlarge(exhibit) {
  await exhibit.load();
  const [image, canvas] = [dialog.querySelector("img"), dialog.querySelector("canvas")];
  [image.src, image.alt] = [exhibit.image.src, exhibit.name];
  exhibit.draw(canvas, exhibit.look().kinds, Math.max(outlineWidth(exhibit.width) - 1, 1));
  dialog.querySelector(".caption").textContent = exhibit.figure.querySelector("figcaption").innerText;
  dialog.querySelector(".frame").style.setProperty("--ratio", canvas.width / canvas.height);
  dialog.showModal();
}

const eyes = new IntersectionObserver(
  (changes) => {
    for (const { target, isIntersecting } of changes) {
      const exhibit = exhibits.find(({ figure }) => figure === target);
      exhibit.isNear = isIntersecting;
      if (isIntersecting) exhibit.update();
      else exhibit.canvas.width = 0; // its memory goes to those that are seen
    }
  },
  { rootMargin: "100%" },
);

for (const exhibit of exhibits) {
  eyes.observe(exhibit.figure);
  exhibit.figure.querySelector(".enlarge").addEventListener("click", () => enlarge(exhibit));
}
for (const divider of document.querySelectorAll(".divider")) {
  divider.addEventListener("input", () => divider.parentElement.style.setProperty("--bare", `${divider.value}%`));
}
for (const choice of [kind, size, order]) {
  choice.addEventListener("change", () => {
    arrange();
    judge().then(arrange); // some that were hidden have another dice by now
  });
}
cut?.addEventListener("input", judge);
cut?.addEventListener("change", () => judge().then(arrange)); // not while it moves
tools.querySelector("button")?.addEventListener("click", () => {
  cut.value = run.cut;
  judge().then(arrange);
});
tools.addEventListener("submit", (event) => event.preventDefault());
dialog.addEventListener("click", ({ target }) => {
  if (target === dialog) dialog.close(); // beside it
});
judge();
