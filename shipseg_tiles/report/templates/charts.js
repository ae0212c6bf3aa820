// Draws the charts that the page holds as JSON, each in the element of its name.
document.addEventListener("DOMContentLoaded", () => {
  for (const chart of JSON.parse(document.getElementById("charts").textContent)) {
    Bokeh.embed.embed_item(chart);
  }
});
