/**
 * <cnn-receptive-field>: write a list of layers; see which pixels a unit sees, and which units see a pixel.
 *
 * Attributes: `net` (an example), `list` (its layers), `layer` (from 1), `at` (a pixel, "row,column"). Data:
 * {lists, pictures} by example. Properties: `layers` (unit i sees `field` pixels from start + i · jump on), `window`
 * (what the unit at the pixel sees), `seers` (the units that see the pixel).
 *
 * V. Dumoulin, F. Visin, arXiv:1603.07285; A. Araujo, W. Norris, J. Sim, doi:10.23915/distill.00021.
 */
"use strict";

(() => {
  const { Picture, plane } = cnnviz;
  const LAYER = /^(conv|pool)\s+([1-9]\d?)((\s+((stride|dilation)\s+[1-9]\d?|padding\s+\d\d?))*)$/;

  /** The layers of a list such as "conv 3, pool 2, conv 5 stride 2 padding 1", after the picture itself. */
  function read(list, { height, width }) {
    const layers = [{ text: "picture", sides: [height, width], field: 1, jump: 1, start: 0 }];
    for (const text of list.trim().toLowerCase().split(/\s*[,\n]\s*/)) {
      const refuse = (why) => {
        throw new cnnviz.InputError(`Layer ${layers.length}, “${text.slice(0, 40)}”: ${why}.`);
      };
      const [match, kind, size, more] = LAYER.exec(text) ?? [];
      if (!match) refuse("write conv or pool and its size, then stride, padding, dilation if needed, all up to 99");
      const numbers = { stride: kind === "pool" ? size : 1, padding: 0, dilation: 1 };
      for (const [, name, value] of more.matchAll(/(\w+)\s+(\d+)/g)) numbers[name] = value;
      const [kernel, stride, padding, dilation] = [size, ...Object.values(numbers)].map(Number);
      const { sides: before, field, jump, start } = layers.at(-1);
      const sides = before.map((side) => cnnviz.outputSize(side, kernel, { stride, padding, dilation }));
      if (Math.min(...sides) < 1) refuse(`its window is larger than the map before it, ${before.join(" × ")}`);
      if (Math.max(...sides) > 1024) refuse("its map would have more than 1024 units a side");
      if (layers.length > 100) refuse("there can be 100 layers");
      layers.push({
        text, kernel, stride, padding, dilation, before, sides,
        field: field + dilation * (kernel - 1) * jump, jump: jump * stride, start: start - padding * jump,
      });
    }
    return layers;
  }

  /** How many paths lead from a place along one side, or `back` to it, divided by the kernels' sizes. */
  function paths(layers, axis, place, back) {
    let values = { [place]: 1 };
    for (const { kernel, stride, padding, dilation, before, sides } of back ? layers.toReversed() : layers) {
      const next = new Float64Array((back ? before : sides)[axis]);
      for (let i = 0; i < sides[axis] * kernel; i++) {
        const output = Math.floor(i / kernel);
        const input = output * stride - padding + (i % kernel) * dilation;
        const [to, from] = back ? [input, output] : [output, input];
        if (to in next && values[from]) next[to] += values[from] / kernel;
      }
      values = next;
    }
    return values;
  }

  /** Show a map under a colour (the root of the number of paths), a window and a place. */
  function show(picture, { data, width, height }, [rows, columns], colour, window, place) {
    const most = Math.max(...rows) * Math.max(...columns) || 1;
    const share = (i) => Math.sqrt((rows[Math.floor(i / width)] * columns[i % width]) / most);
    const planes = colour.map((level) => plane(width, height, data.map((grey, i) => grey + (level - grey) * share(i))));
    picture.show(planes, { low: 0, high: 255 });
    picture.frame("window", window);
    picture.point(...place);
  }

  class ReceptiveField extends cnnviz.Figure {
    static markup = `
      <div class="controls"><label>example <select name="net"></select></label>
        <label>layer <input type="number" name="layer" min="1" max="100"></label></div>
      <label class="list">layers <textarea name="list" rows="3"></textarea></label>
      <div class="scroll" tabindex="0"><table><thead><tr><th>layer<th>map<th>field<th>jump<th>start</thead>
        <tbody></table></div>
      <input name="at" hidden pattern="(-?\\d+,-?\\d+)?" title="a row and a column">
      <div class="panels"><div><div class="title">picture</div><div class="whole"></div></div>
        <div><div class="title">map of the layer</div><div class="map"></div></div></div>
      <small>Orange: a unit and what it sees. Blue: a pixel and what sees it. Colour: the gradient, root mean square
        over random weights, without ReLU.</small>`;

    static styles = `
      .list { display: flex; } textarea { flex: 1; min-width: 0; }
      .scroll { max-height: 14rem; overflow: auto; margin: .75rem 0; } table { width: 100%; }
      th:first-child { text-align: left; } .here { background: var(--ground); }
      .panels :empty { aspect-ratio: 1; } .whole .at, .map .window { border-color: #277bdf; }`;

    async start({ lists, pictures }) {
      for (const name in lists) [pictures[name]] = await cnnviz.readPicture(pictures[name].source);
      this.pictures = pictures;
      const { net } = this.form.elements;
      net.append(...Object.keys(lists).map((name) => new Option(name)));
      const begin = () => {
        const list = lists[net.value];
        this.#read(net.value, list);
        this.state = { list, layer: this.layers.length - 1, at: "" };
      };
      begin();
      net.addEventListener("change", begin);
      const put = (...place) => this.put("at", place.join());
      this.whole = new Picture(this.find(".whole"), { label: "picture", onpick: put });
      const onpick = (...unit) => put(...unit.map(this.middle));
      this.map = new Picture(this.find(".map"), { label: "map", onpick });
    }

    #read(net, list) {
      this.layers = read(list, this.pictures[net]);
      this.picture = this.pictures[net];
    }

    render({ net, list, layer, at }) {
      let problem;
      try {
        this.#read(net, list);
      } catch (error) {
        problem = error;
      }
      const { picture } = this;
      const seen = this.layers.slice(1, layer + 1);
      const { text, sides, field, jump, start } = seen.at(-1);
      const centre = Math.floor(start + (field - 1) / 2);
      this.middle = (i) => centre + i * jump;
      // No text but what LAYER matches gets here.
      this.find("tbody").innerHTML = this.layers.map((each, i) => `<tr${i === seen.length ? " class=here" : ""}>
        <th>${i} ${each.text}<td>${each.sides.join(" × ")}<td>${each.field}<td>${each.jump}<td>${each.start}`).join("");

      const pixel = at ? at.split(",").map(Number) : [picture.height >> 1, picture.width >> 1];
      const unit = pixel.map((p, axis) => Math.min(Math.max(Math.round((p - centre) / jump), 0), sides[axis] - 1));
      const [top, left] = unit.map((i) => start + i * jump);
      this.window = { top, left, bottom: top + field, right: left + field };
      const [rows, columns] = pixel.map((p, axis) => paths(seen, axis, p));
      this.seers = {
        top: rows.findIndex(Boolean), left: columns.findIndex(Boolean),
        bottom: rows.findLastIndex(Boolean) + 1, right: columns.findLastIndex(Boolean) + 1,
      };
      show(this.whole, picture, unit.map((i, axis) => paths(seen, axis, i, true)), [212, 80, 26], this.window, pixel);
      const map = plane(sides[1], sides[0]);
      show(this.map, { ...map, data: map.data.fill(255) }, [rows, columns], [39, 123, 223], this.seers, unit);
      const words = (box) => `rows ${box.top} to ${box.bottom - 1}, columns ${box.left} to ${box.right - 1}`;
      this.say(`Unit ${unit} of ${text} sees ${words(this.window)}. Pixel ${pixel} is seen by ${words(this.seers)}.`);
      if (problem) throw problem;
    }
  }

  ReceptiveField.define("cnn-receptive-field");
})();
