/**
 * <cnn-kernel-playground>: slide a kernel over a picture; change both, and follow one
 * output: window × kernel, sum, ReLU, pooling.
 *
 * Attributes: each `name` below; `small`; `ratio`, the picture's. Data: {pictures,
 * kernels: {name: rows}, snippets: {library: code}}. Properties: `maps`, one a channel;
 * `drawn`, those or their magnitudes; `unit`, what is pointed at.
 */
"use strict";

(() => {
	const { element, format } = cnnviz;
	const WEIGHT = "-?\\d{1,6}(\\.\\d+)?(e-\\d+)?";
	const ROWS = [2, 3, 4, 5, 6, 7].map((columns) => `${WEIGHT}(,${WEIGHT}){${columns - 1}}`);
	const KERNEL = ROWS.map((row) => `${row}(;${row}){1,6}`).join("|"); // as many numbers in each row
	const PIXELS = { kind: "grey", low: 0, high: 255 };
	const CHANNELS = ["red", "green", "blue"];
	const VIEWS = {
		clipped: { words: "as in 8 bits", low: 0 },
		absolute: { words: "0 is black", low: 0 },
		signed: { words: "0 is mid-grey" },
		coloured: { words: "0 is white", kind: "signed" },
	};
	const OWN = "own picture";

	/** The weights by rows; zero where none is given. */
	function weightsOf({ kernel, rows, columns }) {
		const given = kernel.split(";").map((row) => row.split(",").map(Number));
		return Array.from({ length: rows }, (_, y) => Array.from({ length: columns }, (_, x) => given[y]?.[x] ?? 0));
	}

	const NUMBER = "[+-]?(\\d+\\.?\\d*|\\.\\d+)(e[+-]?\\d+)?";
	const TYPED = new RegExp(`^\\s*(${NUMBER})\\s*(/\\s*(${NUMBER})\\s*)?$`, "i");

	/** The number typed, also a fraction; NaN where it can't be used. */
	function weight(text) {
		const [, top, , , , bottom = 1] = TYPED.exec(text.replaceAll("−", "-")) ?? [];
		return Math.abs(top / bottom) < 1e6 ? top / bottom : NaN;
	}

	const options = (names) => names.map((name) => `<option>${name}`).join("");
	const number = (name, min, max = 9) => `<label class="full">${name}
		<input name="${name}" type="number" min="${min}" max="${max}" required value="${min}"></label>`;

	const panel = (name, more = "") =>
		`<div class="of-${name}"><div class="title">${name}</div><div class="${name}"></div>${more}</div>`;

	class KernelPlayground extends cnnviz.Figure {
		static markup = `
			<input name="kernel" hidden required pattern="${KERNEL}" value="0,0;0,0"
				title="2 to 7 rows of 2 to 7 numbers below a million, as 1,2;3,4">
			<input name="at" hidden required pattern="\\d+,\\d+" title="a row and a column" value="0,0">
			<div class="controls">
				<label class="full">picture <select name="picture"></select></label>
				<span class="full"><button type="button" class="own">${OWN}</button> <small>or drop, paste</small></span>
				<label class="full">channel <select name="channel">${options(["grey", ...CHANNELS])}</select></label>
				<label>kernel <select class="named"><option value="" disabled>edited</select></label>
				${number("rows", 2, 7)} ${number("columns", 2, 7)}
				${number("stride", 1)} ${number("padding", 0)} ${number("dilation", 1)}
				<label>view <select name="view">${options(Object.keys(VIEWS))}</select></label>
				<label class="full">scale <select name="scale"><option>own<option>shared</select></label></div>
			<div class="body">
				<div class="panels">${panel("input")} ${panel("output", '<div class="bar colour-bar"></div>')}</div>
				<div class="controls full"><button class="play">play</button>
					<input class="place" type="range" min="0" aria-label="place of the window">
					<label><select name="speed">${options([2, 10, 50, 250])}</select> steps a second</label></div>
				<div class="controls sums">
					${panel("window")} <b class="full">×</b> ${panel("kernel")} <b class="full">=</b> ${panel("products")}
					<table class="full"><tr><th>sum<td><tr><th>ReLU<td><tr><th><select name="pool" aria-label="pooling">
						<option value="max">max of 2 × 2<option value="average">average of 2 × 2</select>
						<small></small><td></table></div></div>
			<div class="controls full code">copy as</div>
			<pre class="full" tabindex="0" hidden></pre>`;

		static styles = `
			:host { --side: 3; }
			input[type=number] { width: 3.1rem; }
			.input, .output { aspect-ratio: var(--ratio); }
			.bar { min-height: 3.2rem; }
			.edge { border-style: dotted; }
			.place { flex: 1; }
			.sums { gap: .25rem; }
			.sums div:empty { aspect-ratio: 1; }
			.sums > div { flex: 9 calc(var(--side) * 2.2rem - 2.2rem); max-width: calc(var(--side) * 2.8rem);
				container-type: inline-size; }
			.sums .cell { font-size: clamp(.55rem, 26cqi / var(--columns), .85rem); }
			table { flex: 1 14rem; }
			th { text-align: left; }
			.kernel input { padding: 0; min-height: 0; width: 100%; text-align: center; }
			pre { overflow: auto; font-size: .8125rem; }
			:host([small]) {
				.full, .of-window, .of-products { display: none; }
				.body { display: grid; grid-template-columns: 1fr 9rem 1fr; gap: .75rem; }
				.panels, .sums { display: contents; }
				.title { font-size: .75rem; }
				.of-output { order: 1; }
				@container (max-width: 30rem) {
					.body { grid-template-columns: 1fr 1fr; }
					.of-kernel { order: 2; grid-column: 1 / 3; width: 9rem; justify-self: center; }
				}
			}`;

		async start({ pictures, kernels, snippets }) {
			Object.assign(this, { pictures: { __proto__: null }, last: {}, snippets });
			for (const [name, packed] of Object.entries(pictures)) {
				this.#add(name, await cnnviz.unpackPicture(packed));
			}
			const [named, place] = [this.find(".named"), this.find(".place")];
			named.append(...Object.entries(kernels).map(([name, rows]) => new Option(name, rows.join(";"))));
			this.whole = new cnnviz.Picture(this.find(".input"), {
				label: "The picture",
				onpick: (...at) => this.#go(...at.map((v, i) => Math.round((v - this.middle[i]) / this.state.stride))),
			});
			this.result = new cnnviz.Picture(this.find(".output"), {
				label: "The output",
				onpick: this.#go.bind(this),
			});
			new cnnviz.Player(
				this.find(".play"),
				() => this.#walk(place),
				() => this.state.speed,
			);
			named.oninput = () => {
				const rows = kernels[named.selectedOptions[0].text];
				this.put("kernel", rows.join(";"));
			};
			place.oninput = () => this.#walk(place, 0);
			this.find(".kernel").oninput = ({ target }) => this.#edit(target, weight(target.value));
			this.takePictures(this.find(".own"), (planes) => {
				this.#add(OWN, planes);
				this.put("picture", OWN);
			});
			for (const library of Object.keys(snippets)) {
				const button = this.find(".code").appendChild(element("button", { type: "button" }, library));
				button.onclick = () => this.#copy(library);
			}
		}

		#add(name, planes) {
			const colours = planes.length === 3 && planes;
			if (!this.pictures[name]) this.form.elements.picture.add(new Option(name, name));
			this.pictures[name] = { grey: [colours ? cnnviz.grey(planes) : planes[0]], colours };
			this.last = {};
		}

		#go(...at) {
			const { height, width } = this.maps[0];
			this.put("at", at.map((v, i) => Math.min(Math.max(v, 0), [height, width][i] - 1)).join());
		}

		/** On by some places; the first comes after the last. */
		#walk(place, by = 1) {
			const { width, data } = this.maps[0];
			place.value = (place.valueAsNumber + by) % data.length;
			this.#go(Math.floor(place.value / width), place.value % width);
			return place.value !== place.max;
		}

		#edit(cell, value) {
			cell.ariaInvalid = isNaN(value);
			if (isNaN(value)) {
				return this.warn(`A weight must be a number below a million, not “${cell.value.slice(0, 9)}”.`);
			}
			const weights = weightsOf(this.state);
			const at = [...cell.parentElement.children].indexOf(cell);
			const { columns } = this.state;
			weights[Math.floor(at / columns)][at % columns] = value;
			this.put("kernel", weights.join(";"));
		}

		/** A kernel brings its size. */
		implied({ kernel }) {
			const rows = kernel?.split(";");
			return rows ? { rows: rows.length, columns: rows[0].split(",").length } : {};
		}

		/** The window must fit into the padded picture, and the unit be one of the output's. */
		conflicts({ picture, rows, columns, at, ...windows }) {
			const [{ height, width }] = this.pictures[picture].grey;
			const output = {
				height: cnnviz.outputSize(height, rows, windows),
				width: cnnviz.outputSize(width, columns, windows),
			};
			if (Math.min(output.height, output.width) < 1) {
				const names = ["picture", "kernel", "rows", "columns", "padding", "dilation"];
				return [[names, `the window is larger than the picture (${height} × ${width})`]];
			}
			const words = cnnviz.outside(output, at);
			return words ? [[["at"], words]] : [];
		}

		/** Act, unless all parts are as they were the last time. */
		#once(name, parts, act) {
			const key = JSON.stringify(parts);
			if (this.last[name] !== key) act();
			this.last[name] = key;
		}

		render(state) {
			const { picture, channel, stride, padding, dilation, view, scale } = state;
			const { grey, colours } = this.pictures[picture];
			const input = (channel !== "grey" && colours) || grey;
			const weights = weightsOf(state);
			const kernel = cnnviz.plane(state.columns, state.rows, Float64Array.from(weights.flat()));
			const shown = input[2] && view === "coloured" ? "signed" : view;
			const source = [picture, input.length, padding];
			this.form.elements.channel.disabled = !colours;
			this.#showKernel(kernel, weights.join(";"));
			this.#once("maps", [source, state.columns, weights, stride, dilation], () => {
				const windows = { stride, padding, dilation };
				this.maps = input.map((map) => cnnviz.convolve(map, kernel, windows));
				this.last.output = null;
			});
			this.#once("input", source, () => this.#showInput(picture, input, padding));
			this.#once("output", [shown, scale], () => this.#showOutput(shown, scale));
			this.#showUnit(state, kernel);
			const code = this.find("pre");
			code.hidden = !this.library;
			code.textContent = this.library && this.snippet(this.library);
		}

		#showKernel(kernel, text) {
			const [host, named] = [this.find(".kernel"), this.find(".named")];
			const { data, width } = kernel;
			const { high } = cnnviz.signedScale(kernel);
			named.value = text;
			if (!named.value) named.value = "";
			this.style.setProperty("--side", Math.max(width, 3));
			host.className = "kernel values";
			host.style.setProperty("--columns", width);
			if (host.children.length !== data.length) {
				host.replaceChildren(...Array.from(data, () => element("input", { class: "cell", autocomplete: "off" })));
			}
			data.forEach((value, i) => {
				const cell = host.children[i];
				const typing = cell === this.shadowRoot.activeElement && weight(cell.value) === value;
				if (!typing) cell.value = format(value, width > 4 ? 2 : 3);
				cell.ariaLabel = `weight, row ${Math.floor(i / width)}, column ${i % width}`;
				cell.ariaInvalid = false;
				cnnviz.tint(cell, cnnviz.colorAt("signed", (value / high + 1) / 2));
			});
		}

		#showInput(name, input, border) {
			this.padded = input.map((map) => cnnviz.pad(map, border));
			this.#show(this.whole, name, this.padded, PIXELS, input);
			this.whole.frame("edge", border && cnnviz.windowOf(0, 0, input[0], { padding: -border }));
		}

		#showOutput(view, scale) {
			const { words, kind = "grey", low = -1 } = VIEWS[view];
			this.drawn = view === "absolute" ? this.maps.map(cnnviz.absolute) : this.maps;
			const high = view === "clipped" || scale === "shared" ? 255 : cnnviz.limit(...this.drawn);
			const shades = { kind, low: low * high, high };
			this.#show(this.result, "output", this.drawn, shades);
			cnnviz.colorBar(this.find(".bar"), shades, words);
		}

		#show(picture, title, maps, scale, [{ height, width }] = maps) {
			picture.host.previousSibling.textContent = `${title} ${height} × ${width}`;
			picture.show(maps, scale);
		}

		#showUnit(state, kernel) {
			const { at, stride, dilation, pool, channel } = state;
			const which = this.maps[2] ? CHANNELS.indexOf(channel) : 0;
			const map = this.maps[which];
			const [row, column] = cnnviz.placeIn(map, at);
			this.amend({ at: `${row},${column}` });
			const window = cnnviz.windowOf(row, column, kernel, { stride, dilation });
			const patch = cnnviz.crop(this.padded[which], window);
			const { height, width } = patch;
			const weighted = (_, i) => !(Math.floor(i / width) % dilation || (i % width) % dilation);
			const seen = { ...kernel, data: patch.data.filter(weighted) };
			const products = { ...kernel, data: kernel.data.map((v, i) => v * seen.data[i]) };
			const sum = products.data.reduce((a, b) => a + b);
			const four = cnnviz.windowOf(row >> 1, column >> 1, { width: 2, height: 2 }, { stride: 2 });
			const block = cnnviz.relu(cnnviz.crop(map, four));
			const inside = Array.from(block.data).filter((v) => !isNaN(v));
			const pooled = inside.length === 4 ? cnnviz.pool(block, 2, pool).data[0] : null; // at an odd edge nothing
			this.unit = { ...state, row, column, sum, relu: Math.max(sum, 0), pooled, patch };
			this.middle = [height, width].map((v) => (v - 1) / 2);

			this.whole.frame("seen", window);
			this.whole.at = [row, column].map((v, i) => v * stride + Math.floor(this.middle[i]));
			this.result.point(row, column);
			cnnviz.values(this.find(".window"), seen, PIXELS);
			cnnviz.values(this.find(".products"), products, cnnviz.signedScale(products));
			const texts = [sum, this.unit.relu, pooled].map((v) => (v === null ? "none" : format(v, 6)));
			this.form.querySelectorAll("td").forEach((cell, i) => (cell.textContent = texts[i]));
			this.find("th small").textContent = inside.map((v) => format(v)).join(", ");
			const ariaValueText = `row ${row}, column ${column}`;
			const value = row * map.width + column;
			Object.assign(this.find(".place"), { max: map.data.length - 1, value, ariaValueText });
			this.say(`${ariaValueText}: ${texts[0]}`);
		}

		snippet(library) {
			const { height, width, data } = this.unit.patch;
			const kernel = weightsOf(this.unit)
				.map((row) => `\n    [${row.join(", ")}],`)
				.join("");
			const parts = { ...this.unit, height, width, patch: data.join(", "), kernel };
			return this.snippets[library].replace(/\$(\w+)/g, (_, name) => parts[name]);
		}

		async #copy(library) {
			this.library = library;
			this.draw();
			const done = await cnnviz.copy(this.snippet(library));
			this.say(`${done ? "Copied" : "Copy"}: it prints ${format(this.unit.sum, 6)}.`);
		}
	}

	KernelPlayground.define("cnn-kernel-playground");
})();
