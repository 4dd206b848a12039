/**
 * <cnn-receptive-field>: write a list of layers; see what a unit sees, and what sees a pixel.
 *
 * Attributes: `net` (an example), `list`, `layer` (from 1), `at` (a pixel, "row,column"). Data: {net: {list, picture}}.
 * Properties: `layers` (unit i sees `field` pixels from start + i · stride on), `sees`, `seenBy` (slices).
 * Formulas: V. Dumoulin, F. Visin, arXiv:1603.07285; A. Araujo et al., doi:10.23915/distill.00021.
 */
"use strict";

(() => {
	const LAYER = /^(conv|pool)\s*([1-9]\d?)((\s+((stride|dilation)\s+[1-9]\d?|padding\s+\d\d?))*)$/;

	/** The layers of a list such as "conv 3, pool 2, conv 5 stride 2 padding 1", after the picture itself. */
	function read(list, picture) {
		const layers = [
			{ text: "picture", picture, sides: [picture.height, picture.width], field: 1, stride: 1, start: 0 },
		];
		for (const text of list
			.trim()
			.toLowerCase()
			.split(/\s*[,\n]\s*/)) {
			const [, kind, size, more = ""] = LAYER.exec(text) ?? [];
			const kernel = Number(size);
			const windows = { stride: kind === "pool" ? kernel : 1, padding: 0, dilation: 1 };
			for (const [, name, value] of more.matchAll(/(\w+)\s+(\d+)/g)) windows[name] = Number(value);
			const { sides: before, field, stride, start } = layers.at(-1);
			const sides = before.map((side) => cnnviz.outputSize(side, kernel, windows));
			const problem =
				(!kind && "write conv or pool, a size, then stride, padding, dilation if needed, up to 99") ||
				(Math.min(...sides) < 1 && `its window exceeds the map, ${before.join("×")}`) ||
				((Math.max(...sides) > 1024 || layers.length > 100) && "over 1024 units a side, or 100 layers");
			if (problem) throw new cnnviz.InputError(`Layer ${layers.length}, “${text.slice(0, 40)}”: ${problem}`);
			layers.push({
				text,
				kernel,
				windows,
				before,
				sides,
				field: field + windows.dilation * (kernel - 1) * stride,
				stride: stride * windows.stride,
				start: start - windows.padding * stride,
			});
		}
		return layers;
	}

	/** The pixel in the middle of what unit i of a layer sees, which may lie in the padding. */
	function middleOf({ start, stride, field }, i) {
		return Math.floor(start + i * stride + (field - 1) / 2);
	}

	/** The pixels from `low` to `high`, one a side, that are in the picture or in the middle of a unit's window. */
	function reach(layers) {
		const low = Math.min(...layers.map((layer) => middleOf(layer, 0)));
		const high = [0, 1].map((axis) => Math.max(...layers.map((layer) => middleOf(layer, layer.sides[axis] - 1))));
		return { low, high };
	}

	/** Paths from a place along one side, or `back` to it, as shares. */
	function paths(layers, axis, place, back) {
		let values = { [place]: 1 };
		for (const { kernel, windows, before, sides } of back ? layers.toReversed() : layers) {
			const next = new Float64Array((back ? before : sides)[axis]);
			for (let i = 0; i < sides[axis] * kernel; i++) {
				const output = Math.floor(i / kernel);
				const input = output * windows.stride - windows.padding + (i % kernel) * windows.dilation;
				const [to, from] = back ? [input, output] : [output, input];
				if (to in next && values[from]) next[to] += values[from] / kernel;
			}
			values = next;
		}
		return values;
	}

	/** Show a map under a colour, the root of the paths; return its slice. */
	function show(host, { data, width, height }, sides, colour, place) {
		const [rows, columns] = sides.map((side) => {
			const most = Math.max(...side) || 1;
			return side.map((value) => Math.sqrt(value / most));
		});
		const mixed = colour.map((level) =>
			cnnviz.plane(
				width,
				height,
				data.map((grey, i) => grey + (level - grey) * rows[Math.floor(i / width)] * columns[i % width]),
			),
		);
		host.show(mixed, { low: 0, high: 255 });
		const [top, left] = sides.map((side) => side.findIndex(Boolean));
		const [bottom, right] = sides.map((side) => side.findLastIndex(Boolean) + 1);
		host.frame("window", { top, left, bottom, right });
		host.point(...place);
		return `[${top}:${bottom}, ${left}:${right}]`;
	}

	class ReceptiveField extends cnnviz.Figure {
		static markup = `
			<div class="controls"><label>example <select name="net"></select></label>
				<label>layer <input type="number" name="layer" min="1" max="100" required></label></div>
			<textarea name="list" rows="3" aria-label="layers"></textarea>
			<div class="scroll" tabindex="0"><table><thead><tr><th>layer<th>map<th>field<th>stride<th>start</thead>
				<tbody></table></div>
			<input name="at" hidden required pattern="-?\\d+,-?\\d+" title="row,column">
			<div class="panels"><div><div class="title">what the unit sees</div><div class="picture"></div></div>
				<div><div class="title">what sees the pixel</div><div class="map"></div></div></div>
			<small>Colour: the gradient, root mean square over random weights, without ReLU.</small>`;

		static styles = `
			textarea, table { width: 100%; font-size: .8125rem; }
			.scroll { height: 11rem; overflow: auto; margin: .75rem 0; } th, td { padding: .15rem .25rem; }
			th:first-child { text-align: left; }
			.panels div:empty { aspect-ratio: 1; } :not(.map) > .at, .map .window { border-color: #277bdf; }`;

		async start(nets) {
			for (const net of Object.values(nets)) [net.picture] = await cnnviz.unpackPicture(net.picture);
			this.nets = nets;
			const net = this.find("select");
			net.append(...Object.keys(nets).map((name) => new Option(name, name)));
			this.amend(this.implied({ net: net.value }));
			const picture = (label, pixel) =>
				new cnnviz.Picture(this.find(`.${label}`), {
					label,
					onpick: (...place) => this.put("at", place.map(pixel).join()),
				});
			this.picture = picture("picture", Number);
			this.map = picture("map", (i) => this.middle(i));
		}

		/** An example brings its list, its last layer and the middle of its picture. */
		implied({ net }) {
			if (net === undefined) return {};
			const { list, picture } = this.nets[net];
			const at = `${picture.height >> 1},${picture.width >> 1}`;
			return { list, layer: read(list, picture).length - 1, at };
		}

		/** The list must be one, the layer one of it, the pixel in the picture or the middle of a unit's window. */
		conflicts({ net, list, layer, at }) {
			let layers;
			try {
				layers = read(list, this.nets[net].picture);
			} catch (error) {
				if (!(error instanceof cnnviz.InputError)) throw error;
				return [[["net", "list"], error.message]];
			}
			const last = layers.length - 1;
			if (layer > last) return [[["layer"], `layer must be from 1 to ${last}, got ${layer}`]];
			const { low, high } = reach(layers);
			if (at.split(",").every((pixel, axis) => pixel >= low && pixel <= high[axis])) return [];
			return [
				[
					["at"],
					`at must be a row from ${low} to ${high[0]} and a column from ${low} to ${high[1]}, got ${at.slice(0, 40)}`,
				],
			];
		}

		render({ net, list, layer, at }) {
			this.layers = read(list, this.nets[net].picture);
			const number = Math.min(layer, this.layers.length - 1);
			const { low, high } = reach(this.layers);
			const pixel = at.split(",").map((place, axis) => Math.min(Math.max(place, low), high[axis]));
			this.amend({ layer: number, at: pixel.join() });
			this.#show(number, pixel);
		}

		#show(layer, pixel) {
			const [{ picture }] = this.layers;
			const seen = this.layers.slice(1, layer + 1);
			const { text, sides, stride } = seen.at(-1);
			this.middle = (i) => middleOf(seen.at(-1), i);
			this.find("tbody").replaceChildren(
				...this.layers.map(({ text, sides, field, stride, start }, i) => {
					const name = `${i === seen.length ? "▸ " : ""}${i} ${text}`;
					const numbers = [sides.join("×"), field, stride, start];
					const cell = (text, i) => cnnviz.element(i ? "td" : "th", {}, String(text));
					return cnnviz.element("tr", {}, ...[name, ...numbers].map(cell));
				}),
			);

			const nearest = pixel.map((p) => Math.max(Math.round((p - this.middle(0)) / stride), 0));
			const unit = nearest.map((u, axis) => Math.min(u, sides[axis] - 1));
			const [back, forth] = [unit, pixel].map((place, n) => place.map((i, axis) => paths(seen, axis, i, !n)));
			const map = cnnviz.plane(sides[1], sides[0], new Float32Array(sides[0] * sides[1]).fill(225));
			this.sees = show(this.picture, picture, back, [212, 80, 26], pixel);
			this.seenBy = show(this.map, map, forth, [39, 123, 223], unit);
			this.say(`Unit [${unit}] of ${text} sees pixels ${this.sees}. Pixel [${pixel}] is seen by units ${this.seenBy}.`);
		}
	}

	ReceptiveField.define("cnn-receptive-field");
})();
