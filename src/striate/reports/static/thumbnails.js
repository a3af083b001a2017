// Shows, beside a point of a chart, the image that it stands for.
const card = document.createElement("div");
const image = document.createElement("img");
const words = document.createElement("span");
card.id = "thumbnail";
card.hidden = true;
image.alt = "";
card.append(image, words);
document.body.append(card);

function show(dot, source) {
  const box = dot.getBoundingClientRect();
  image.src = source;
  words.textContent = dot.querySelector("title").textContent;
  card.hidden = false;
  const left = Math.min(box.right + 8, innerWidth - card.offsetWidth - 8);
  card.style.left = Math.max(8, left) + "px";
  card.style.top = Math.max(8, Math.min(box.bottom + 8, innerHeight - card.offsetHeight - 8)) + "px";
}

for (const row of document.querySelectorAll("[data-thumbnails]")) {
  const thumbnails = JSON.parse(row.querySelector("script").textContent);
  for (const dot of row.querySelectorAll("[data-thumbnail]")) {
    for (const kind of ["mouseenter", "click"]) {
      dot.addEventListener(kind, () => show(dot, thumbnails[dot.dataset.thumbnail]));
    }
    dot.addEventListener("mouseleave", () => { card.hidden = true; });
  }
}
