// The page: sends an image, asks what has become of it, and shows what was found.

const POLL_MILLISECONDS = 400;
const LEAST_ZOOM = 96; // pixels of the image beside each other, when one ship is shown
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);
let current = 0; // number of the image that the page is about: answers about an earlier one come too late

const size = (value, unit) => `${value.toFixed(unit === "m" ? 0 : 1)} ${unit}`;
const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

function showError(message) {
  at("progress").hidden = true;
  at("error").textContent = message;
  at("error").hidden = false;
}

/** Show what happens, and how much of it is done: a share, or null where nobody knows. */
function showProgress(text, share) {
  at("progress").hidden = false;
  if (at("status").textContent !== text) at("status").textContent = text;
  if (share === null) at("bar").removeAttribute("value");
  else at("bar").value = share;
}

function begin() {
  current += 1;
  at("error").hidden = true;
  at("result").hidden = true;
  return current;
}

function send(file) {
  const mine = begin();
  const megabytes = Number(at("file").dataset.megabytes);
  if (file.size > megabytes * 1e6) return showError(`${file.name} has more than ${megabytes} MB; cut it into parts.`);
  const request = new XMLHttpRequest(); // fetch does not tell how much is sent
  request.open("POST", `/tasks?name=${encodeURIComponent(file.name)}`);
  request.responseType = "json";
  request.upload.onprogress = (event) => {
    if (mine === current) showProgress(`Sending ${file.name}`, event.loaded / event.total);
  };
  request.onerror = () =>
    mine === current &&
    showError(`${file.name} could not be sent: it is a folder, it has changed, or the server is no longer running.`);
  request.onload = () => {
    if (mine !== current) return;
    if (request.status !== 201) return showError(request.response?.error ?? `The server answers ${request.status}.`);
    history.replaceState(null, "", `#${request.response.id}`); // so that the page may be loaded again
    follow(request.response.id, mine);
  };
  showProgress(`Sending ${file.name}`, 0);
  request.send(file);
}

/** Ask until it is clear what has become of an image. */
async function follow(id, mine) {
  let task;
  try {
    const answer = await fetch(`/tasks/${id}`);
    task = await answer.json();
  } catch {
    task = { error: "The server cannot be reached; is it still running?" };
  }
  if (mine !== current) return;
  if (task.error) return showError(task.error);
  if (task.state === "done") return showResult(id, task);
  showProgress(...described(task));
  setTimeout(() => mine === current && follow(id, mine), POLL_MILLISECONDS);
}

function described(task) {
  if (task.state === "waiting") return [`${task.name} waits, number ${task.position} in the line`, null];
  if (!task.total) return [`Looking for ships in ${task.name}`, null];
  if (task.done === task.total) return [`Drawing what was found in ${task.name}`, null];
  return [`Looking for ships in ${task.name}: ${task.done} of ${count(task.total, "row")} of tiles`, task.done / task.total];
}

function showResult(id, task) {
  at("progress").hidden = true;
  at("headline").textContent = `${task.ships.length ? count(task.ships.length, "ship") : "No ship"} in ${task.name}`;
  const shrunk = task.shrunk > 1 ? `, shown at 1/${task.shrunk} of its size` : "";
  at("facts").textContent = `${task.width} × ${task.height} pixels${shrunk}; ${task.seconds.toFixed(1)} s`;
  at("remark").textContent = `${task.name} ${task.remark}`;
  at("remark").hidden = !task.remark;
  at("ships").hidden = !task.ships.length;
  for (const kind of ["mask", "csv", "geojson"]) at(kind).href = `/tasks/${id}/${kind}`;
  drawPicture(id, task);
  at("rows").replaceChildren(...task.ships.map((ship) => row(ship, task)));
  at("opacity").value = 100;
  at("result").hidden = false;
  document.body.classList.add("shown");
  at("headline").focus({ preventScroll: true });
}

function drawPicture(id, task) {
  // A pixel of a shrunk picture stands for whole pixels of the image, beyond its border if they do not divide.
  const covered = (pixels) => Math.ceil(pixels / task.shrunk) * task.shrunk;
  const picture = (kind) =>
    element("image", {
      id: `${kind}-picture`,
      href: `/tasks/${id}/${kind}`,
      width: covered(task.width),
      height: covered(task.height),
      preserveAspectRatio: "none",
    });
  at("picture").replaceChildren(picture("preview"), picture("overlay"), ...task.ships.map((ship) => outline(ship, task)));
  at("picture").style.setProperty("--shape", task.width / task.height);
  showWhole(task);
  at("whole").onclick = () => showWhole(task);
}

function outline(ship, task) {
  const polygon = element("polygon", { points: ship.outline.join(" "), "data-ship": ship.number });
  polygon.append(element("title", {}));
  polygon.firstChild.textContent = `Ship ${ship.number}`;
  polygon.onclick = () => {
    choose(ship, task);
    document.querySelector("tr.chosen").scrollIntoView({ block: "nearest" });
  };
  return polygon;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function row(ship, task) {
  const made = document.createElement("tr");
  made.dataset.ship = ship.number;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = ship.number;
  button.setAttribute("aria-label", `Show ship ${ship.number}`);
  made.insertCell().append(button);
  const cells = [
    size(ship.length, ship.unit),
    size(ship.width, ship.unit),
    `${Math.round(ship.heading) % 180}°`,
    ship.pixels.toLocaleString("en"),
    ship.score.toFixed(2),
  ];
  for (const text of cells) made.insertCell().textContent = text;
  made.onclick = () => {
    choose(ship, task);
    at("picture").scrollIntoView({ block: "nearest" });
  };
  return made;
}

/** Mark a ship in the list and in the picture, and show the picture around it. */
function choose(ship, task) {
  mark(ship.number);
  const columns = ship.outline.map(([column]) => column);
  const rows = ship.outline.map(([, row]) => row);
  const middle = (values) => (Math.min(...values) + Math.max(...values)) / 2;
  const extent = (values) => Math.max(...values) - Math.min(...values);
  const shown = Math.max(4 * extent(columns), (4 * extent(rows) * task.width) / task.height, LEAST_ZOOM);
  const width = Math.min(shown, task.width);
  const height = (width * task.height) / task.width;
  const within = (from, length, whole) => Math.min(Math.max(from, 0), whole - length);
  const left = within(middle(columns) - width / 2, width, task.width);
  const top = within(middle(rows) - height / 2, height, task.height);
  at("picture").setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
  at("whole").disabled = false;
}

function showWhole(task) {
  mark(null);
  at("picture").setAttribute("viewBox", `0 0 ${task.width} ${task.height}`);
  at("whole").disabled = true;
}

function mark(number) {
  for (const marked of document.querySelectorAll("[data-ship]")) {
    marked.classList.toggle("chosen", marked.dataset.ship === String(number));
  }
}

function take(files) {
  if (files.length > 1) {
    begin();
    showError("One image at a time, please.");
  } else if (files.length) send(files[0]);
}

at("file").onchange = () => {
  take(at("file").files);
  at("file").value = ""; // so that the same file may be chosen again
};
at("opacity").oninput = () => at("overlay-picture").setAttribute("opacity", at("opacity").value / 100);

// The whole page takes what is dropped: a file beside the frame would otherwise replace the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || at("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files);
});

function openLink() {
  if (location.hash.length > 1) follow(encodeURIComponent(location.hash.slice(1)), begin());
}
addEventListener("hashchange", openLink);
openLink();
