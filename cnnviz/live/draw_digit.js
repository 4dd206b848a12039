/**
 * <cnn-draw-digit>: draw a digit, and watch trained networks read it.
 *
 * Attributes: `digit` (its number, or "blank"), `strokes`, `eraser`, `right` and `down` (pixels), `rotate` (degrees),
 * `thicken` (pixels), `centred`, `unit` ("layer,row,column"). Data: {networks: {name: layers}, sheet, words}.
 * Properties: `picture` (0–1), `outputs`, `probabilities` (null without ink). Method: `stroke`.
 */
"use strict";

(() => {
	const SIDE = 28;
	const BOX = 20; // the size of MNIST's digits
	const MIDDLE = 14.5; // their centre of mass
	const PEN = 2.5; // MNIST's median is 2.25; large drawings shrink
	const FINE = 4; // pixels of ink to a pixel
	const ACROSS = 4; // maps side by side
	const POINT = "-?\\d{1,3}(\\.\\d+)? -?\\d{1,3}(\\.\\d+)? "; // x and y in pixels
	const { element } = cnnviz;
	const BLANK = cnnviz.plane(SIDE, SIDE);
	const matrix = () => new DOMMatrix();

	/** How to move and scale a map of ink so that it lies as MNIST's digits do. */
	function centring(map) {
		const box = cnnviz.measure(map);
		if (!box) return matrix();
		const { top, left, bottom, right, x, y } = box;
		const scale = BOX / Math.max(bottom - top, right - left);
		const corner = [x - left, y - top].map((v) => Math.round(MIDDLE - scale * v));
		return matrix()
			.translate(...corner)
			.scale(scale)
			.translate(-left, -top)
			.scale(map.width / SIDE);
	}

	const slider = (name, low, high, step) => `<label>${name}
		<input type="range" name="${name}" min="${low}" max="${high}" step="${step}" value="0"><output></output></label>`;

	class DrawDigit extends cnnviz.Figure {
		static markup = `
			<div class="controls">
				<label>start from <select name="digit"></select></label>
				<button type="button">undo</button><button type="button">clear</button>
				<label><input type="checkbox" name="eraser"> eraser</label>
			</div>
			<input hidden name="strokes" pattern="([PE](${POINT})+)*" title="strokes, as P1 2 3 4 E5 6 ">
			<input hidden name="unit" pattern="\\d{1,4}(,\\d{1,4}){2}" title="a layer, a row and a column">
			<div class="panels">
				<div><div class="title">Draw here</div><div class="pad"></div></div>
				<div class="small"><div class="title">The nets see</div><div class="seen"></div>
					<label><input type="checkbox" name="centred"> centred as MNIST</label></div>
				<div class="small"><div class="title">Probability, %</div><table></table></div>
			</div>
			<div class="panels sliders">${slider("right", -8, 8, 1)}${slider("down", -8, 8, 1)}
				${slider("rotate", -60, 60, 5)}${slider("thicken", -1, 2, 0.25)}</div>
			<div class="title">In the <b></b>: red above zero, blue below. Point at a unit to see what it saw.</div>
			<div class="stages">${"<div><small>…</small><div class=maps></div></div>".repeat(8)}</div>`;

		static styles = `
			select { width: 11rem; }
			.small { flex-basis: 7rem; }
			.pad { touch-action: none; }
			.pad, .seen { aspect-ratio: 1; }
			table { width: 100%; height: 17rem; table-layout: fixed; }
			th, td { padding: 0 .2rem; }
			th:first-child { width: 1.5rem; }
			td { background: linear-gradient(color-mix(in srgb, var(--accent) 35%, #0000) 0 0) no-repeat; }
			.sliders > * { flex-basis: 18rem; display: grid; grid-template-columns: 3.5rem 1fr 2.5rem; }
			.stages { display: grid; grid-template-columns: repeat(auto-fill, minmax(max(7rem, 22%), 1fr)); gap: .75rem; }
			.maps { container-type: inline-size; position: relative; }
			.maps:empty { aspect-ratio: 2; }
			:nth-child(n + 5) > .maps:empty { aspect-ratio: 1; }
			.maps::before { content: ""; position: absolute; inset: 0; background:
				linear-gradient(90deg, var(--page) 3px, #0000 0) -1.5px 0 / 25cqi,
				linear-gradient(var(--page) 3px, #0000 0) 0 -1.5px / 25cqi 25cqi; }
			form { display: flex; flex-direction: column; gap: .25rem; }
			footer output { flex-basis: 16rem; min-height: 2.8em; }
			.sliders ~ div { order: 1; }`;

		async start({ networks, sheet, words }) {
			const [digits] = await cnnviz.unpackPicture(sheet);
			this.digits = words.map((_, i) =>
				cnnviz.crop(digits, { top: SIDE * i, left: 0, bottom: SIDE * (i + 1), right: SIDE }),
			);
			this.begun = element("canvas");
			this.networks = Object.entries(networks).map(([name, packed]) => [name, cnnviz.readNetwork(packed)]);
			const { digit } = this.form.elements;
			digit.replaceChildren(new Option("blank"), ...words.map((text, i) => new Option(text, i)));
			const [undo, clear] = this.form.querySelectorAll("button");
			undo.onclick = () => this.put("strokes", this.state.strokes.replace(/[PE][^PE]*$/, ""));
			clear.onclick = () => this.put("digit", "blank");
			const names = Object.keys(networks);
			this.rows = ["", ..."0123456789"].map((head) =>
				element("tr", {}, ...[head, ...names].map((text, i) => element(head && i ? "td" : "th", {}, text))),
			);
			this.find("table").append(...this.rows);
			this.fine = element("canvas", { width: FINE * SIDE, height: FINE * SIDE });
			this.seen = new cnnviz.Picture(this.find(".seen"), { label: "What the networks see" });
			this.#listen();

			const [shown, layers] = this.networks.find(([, [first]]) => first.kind !== "flatten");
			this.shown = this.find("b").textContent = shown;
			const maps = layers.slice(
				0,
				layers.findIndex(({ kind }) => kind === "flatten"),
			);
			const blank = cnnviz.run(layers, BLANK);
			this.find(".stages").replaceChildren();
			this.stages = maps.map(({ name }, index) => {
				const [title, host] = [element("small"), element("div", { class: "maps" })];
				this.find(".stages").append(element("div", {}, title, host));
				const onpick = (...place) => {
					const unit = [index, ...place].join();
					if (this.#unitAt(unit)) this.put("unit", unit);
				};
				const picture = new cnnviz.Picture(host, { label: `Maps of ${name}`, onpick });
				const [{ width, height }, { length: count }] = [blank.get(name)[0], blank.get(name)];
				return { name, title, picture, width, height, count, layers: maps.slice(0, index + 1) };
			});
		}

		/** A digit to start from comes as it is. */
		implied({ digit }) {
			return digit === undefined ? {} : { strokes: "", right: 0, down: 0, rotate: 0, thicken: 0 };
		}

		/** The unit must be one of a map that is shown. */
		conflicts({ unit }) {
			if (!unit || this.#unitAt(unit)) return [];
			return [[["unit"], `unit must be a layer, a row and a column of the maps shown, got ${unit}`]];
		}

		/** Where a unit, "layer,row,column" of the tiles, lies: its stage, map, row and column; nothing outside. */
		#unitAt(unit) {
			const [index, down, right] = unit.split(",").map(Number);
			const { width, height, count } = this.stages[index] ?? {};
			const map = Math.floor(down / height) * ACROSS + Math.floor(right / width);
			if (!(map < count && right < ACROSS * width)) return null;
			return { index, map, row: down % height, column: right % width, down, right };
		}

		/** Draw, or erase, a stroke: points [x, y] in pixels. */
		stroke(points) {
			const tool = this.state.eraser ? "E" : "P";
			this.put("strokes", this.state.strokes + tool + points.map((point) => `${point.join(" ")} `).join(""));
		}

		/** Draw on to a point; what was cleared in between starts anew. */
		#extend(point) {
			const { strokes } = this.state;
			if (strokes) this.put("strokes", `${strokes}${point.join(" ")} `);
			else this.stroke([point]);
		}

		render(state) {
			const { digit, strokes, right, down, rotate, thicken, centred } = state;
			const start = this.digits[digit] ?? BLANK;
			cnnviz.paint(this.begun, [start], { kind: "grey", low: 0, high: 255 });
			this.#ink(this.pad.canvas, state);
			const ours = !strokes && !rotate && !thicken && !centred;
			const window = { top: -down, left: -right, bottom: SIDE - down, right: SIDE - right };
			const grey = ours ? cnnviz.crop(start, window, 0) : this.#moved(state);
			this.notice = ours ? "" : cnnviz.inexactness(this.fine);
			this.picture = { ...grey, data: grey.data.map((value) => value / 255) };
			this.seen.show([this.picture], { kind: "grey", low: 0, high: 1 });
			const answer = this.#answer();
			this.#showStages(state.unit);
			const black = !cnnviz.range(this.picture)[1];
			this.find("table").style.visibility = black ? "hidden" : "";
			if (black) this.probabilities = null;
			if (black) this.warn("There is no ink: draw a digit, or choose one.");
			if (!state.unit) this.say(black ? "" : answer);
		}

		/** The pixels of a drawing that is moved and turned, read from a canvas. */
		#moved({ right, down, rotate, centred, ...state }) {
			const half = SIDE / 2;
			let moved = matrix()
				.translate(half + right, half + down)
				.rotate(rotate)
				.translate(-half, -half);
			if (centred) {
				// Half as large, the drawing can move without leaving the canvas.
				const small = matrix().scale(0.5).translate(half, half).multiply(moved);
				moved = centring(this.#ink(this.fine, state, small)).multiply(small);
			}
			return cnnviz.pool(this.#ink(this.fine, state, moved), FINE, "average");
		}

		/** Draw a digit's pixels and strokes: "Px y x y…" of the pen, "Ex y x y…" of the eraser. */
		#ink(canvas, { strokes, thicken }, moved) {
			const { width } = canvas;
			const context = canvas.getContext("2d", { willReadFrequently: true });
			context.reset();
			context.fillRect(0, 0, width, width);
			context.setTransform(
				matrix()
					.scale(width / SIDE)
					.multiply(moved),
			);
			context.imageSmoothingEnabled = false;
			context.lineCap = context.lineJoin = "round";
			// Each pixel becomes the lightest of those around it, or the darkest.
			for (let angle = 0; angle < (thicken ? 6.2 : 0.1); angle += Math.PI / 8) {
				const [x, y] = [thicken * Math.cos(angle), thicken * Math.sin(angle)];
				context.drawImage(this.begun, x, y);
				context.globalCompositeOperation = thicken > 0 ? "lighten" : "darken";
			}
			context.globalCompositeOperation = "source-over";
			for (const [, tool, points] of strokes.matchAll(/([PE])([^PE]+)/g)) {
				context.strokeStyle = tool === "P" ? "#fff" : "#000";
				context.lineWidth = tool === "P" ? PEN + 2 * thicken : 2 * PEN;
				context.stroke(new Path2D(`M${points}h.01`)); // so that dots are drawn
			}
			return moved && cnnviz.readCanvas(canvas)[0];
		}

		#answer() {
			[this.outputs, this.probabilities] = [{ __proto__: null }, { __proto__: null }];
			return this.networks
				.map(([name, layers], column) => {
					const maps = (this.outputs[name] = cnnviz.run(layers, this.picture));
					const shares = cnnviz.softmax(maps.get(layers.at(-1).name)[0].data);
					this.probabilities[name] = shares;
					shares.forEach((share, digit) => {
						const cell = this.rows[digit + 1].cells[column + 1];
						cell.textContent = (100 * share).toFixed(1);
						cell.style.backgroundSize = `${cell.textContent}% 100%`;
					});
					return `${name}: ${shares.indexOf(Math.max(...shares))}`;
				})
				.join(", ");
		}

		#showStages(unit) {
			const chosen = unit && this.#unitAt(unit);
			this.seen.frame("saw", null);
			this.stages.forEach(({ name, title, picture, layers }, index) => {
				const maps = this.outputs[this.shown].get(name);
				const [{ width, height }] = maps;
				const all = cnnviz.tile(maps, ACROSS);
				const scale = cnnviz.signedScale(all);
				title.textContent = `${name} ${height}×${width} ±${cnnviz.format(scale.high, 2)}`;
				picture.show([all], scale);
				picture.frame("at", null);
				if (index !== chosen?.index) return;
				const { map, row, column, down, right } = chosen;
				picture.point(down, right);
				const saw = cnnviz.fieldOf(layers, row, column);
				this.seen.frame("saw", saw);
				this.say(
					`${name}, map ${map}, row ${row}, column ${column}: ` +
						`${cnnviz.format(maps[map].data[row * width + column])}. It saw rows ${saw.top}–${saw.bottom - 1}, ` +
						`columns ${saw.left}–${saw.right - 1}.`,
				);
			});
		}

		/** Mouse, finger and stylus draw while they press, the arrow keys after Space. */
		#listen() {
			const host = this.find(".pad");
			let [down, pen] = [false, [14.5, 14.5]];
			this.pad = new cnnviz.Picture(host, {
				label: "Drawing. Space puts the pen down or lifts it",
				onpick: (row, column) => {
					pen = [column + 0.5, row + 0.5];
					this.pad.point(row, column);
					if (down) this.#extend(pen);
				},
			});
			this.pad.canvas.width = this.pad.canvas.height = 12 * SIDE;
			Object.assign(this.pad, { size: { width: SIDE, height: SIDE }, at: [14, 14] });
			host.onkeydown = (event) => {
				if (event.key !== " ") return;
				event.preventDefault();
				down = !down;
				if (down) this.stroke([pen]);
			};
			host.onblur = () => (down = false);

			const place = (event) =>
				this.pad
					.placeOf(event)
					.reverse()
					.map((v) => Math.round(v * 10) / 10);
			host.onpointerdown = (event) => {
				if (!event.isPrimary || event.button) return;
				down = false;
				host.setPointerCapture(event.pointerId);
				this.stroke([place(event)]);
			};
			const drawing = (event) => host.hasPointerCapture(event.pointerId);
			host.onpointermove = (event) => drawing(event) && this.#extend(place(event));
			host.onpointercancel = (event) => drawing(event) && this.find("button").click();
		}
	}

	DrawDigit.define("cnn-draw-digit");
})();
