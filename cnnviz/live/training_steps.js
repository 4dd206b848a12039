/**
 * <cnn-training-steps>: what networks know at each of the moments at which their weights were kept.
 *
 * Attributes: `checkpoint` (from 0), `cell` ("true class,answer"), `doubts` (which digits).
 * Data by checkpoint: each net's scores, weights, tables (counts with headings) and examples (digits by cell);
 * doubts (digits, answers).
 */
"use strict";

(() => {
	const { element } = cnnviz;
	const NET = `<div><div class="title">&nbsp;</div><small>&nbsp;</small><div class="grid weights"></div>
		<div class="bar colour-bar"></div><small>row: true digit, column: answer</small>
		<div class="map"><div class="table"></div></div><p>&nbsp;</p><div class="grid examples"></div></div>`;

	class TrainingSteps extends cnnviz.Figure {
		static markup = `
			<div class="controls"><button>play</button>
				<label>after step <b></b><input type="range" name="checkpoint"></label></div>
			<input name="cell" hidden required pattern="\\d+,\\d+" title="true class,answer" value="0,0">
			<div class="panels">${NET.repeat(2)}</div>
			<label>digits <select name="doubts"></select></label>
			<div class="digits">${"<div><canvas width=28 height=28></canvas><br><br><br></div>".repeat(12)}</div>`;

		static styles = `
			label, [type=range] { flex: 1; } b { width: 2rem; } .panels { gap: 1.5rem; margin-bottom: 1rem; }
			.grid { display: grid; gap: .25rem; grid-template-columns: repeat(4, 1fr); aspect-ratio: 2; }
			.examples { grid-template-columns: repeat(6, 1fr); aspect-ratio: 6; }
			canvas { display: block; width: 100%; image-rendering: pixelated; }
			.bar { height: 2.5rem; } .map { aspect-ratio: 1; } .map canvas { visibility: hidden; }
			.table { position: absolute; inset: 0; } .cell { font-size: calc(.45rem + .5cqi); }
			.digits { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(max(5rem, 15%), 1fr));
				font-size: .75rem; margin-top: .5rem; }`;

		async start({ nets, sheet, size: [height, width], columns, ...data }) {
			Object.assign(this, data);
			const [digits] = await cnnviz.unpackPicture(sheet);
			this.picture = (digit) => {
				const canvas = element("canvas", { role: "img", "aria-label": `a ${data.labels[digit]}` });
				const [top, left] = [height * Math.floor(digit / columns), width * (digit % columns)];
				const window = { top, left, bottom: top + height, right: left + width };
				cnnviz.paint(canvas, [cnnviz.crop(digits, window)], { kind: "grey", low: 0, high: 255 });
				return canvas;
			};
			const host = this.find(".panels");
			host.innerHTML = NET.repeat(nets.length);
			this.nets = nets.map((net, i) => {
				const find = (name) => host.children[i].querySelector(name);
				const weights = net.weights.map(cnnviz.unpackMaps);
				const scale = cnnviz.signedScale(...weights.flat());
				cnnviz.colorBar(find(".bar"), scale);
				find("small").textContent = net.kind;
				const map = new cnnviz.Picture(find(".map"), {
					label: `${net.name}: true digits (rows), answers (columns)`,
					onpick: (...place) => this.put("cell", place.map((i) => Math.max(i - 1, 0)).join()),
				});
				return { ...net, find, weights, scale, map };
			});
			const { checkpoint, doubts } = this.form.elements;
			checkpoint.max = data.steps.length - 1;
			doubts.append(...Object.keys(data.doubts).map((name) => new Option(name)));
			new cnnviz.Player(
				this.find("button"),
				() => {
					this.put("checkpoint", (this.state.checkpoint + 1) % data.steps.length);
					return checkpoint.value !== checkpoint.max;
				},
				() => 1,
			);
		}

		/** The cell must be one of the tables'. */
		conflicts({ cell }) {
			const classes = Math.sqrt(this.nets[0].tables[0].length) - 1;
			if (cell.split(",").every((number) => number < classes)) return [];
			return [[["cell"], `cell must be two classes below ${classes}, got ${cell.slice(0, 40)}`]];
		}

		render({ checkpoint, cell, doubts }) {
			const step = this.steps[checkpoint];
			this.find("b").textContent = this.find("[type=range]").ariaValueText = step;
			const told = this.nets.map((net) => this.#show(net, checkpoint, cell));
			this.say(`after step ${step}: ${told.join("; ")}`);
			this.find(".digits").replaceChildren(
				...this.doubts[doubts][checkpoint].map(([digit, ...texts]) =>
					element("div", {}, this.picture(digit), ...texts.map((text) => element("div", {}, text))),
				),
			);
		}

		/** Show a network; return what is pointed at. */
		#show({ name, find, map, scale, ...net }, checkpoint, cell) {
			find(".title").textContent = `${name}: ${net.scores[checkpoint]}`;
			find(".weights").replaceChildren(
				...net.weights[checkpoint].map((weight) => {
					const canvas = element("canvas");
					cnnviz.paint(canvas, [weight], scale);
					return canvas;
				}),
			);
			// Blue where right, red where wrong, by the logarithm of the counts; headings are texts.
			const counts = net.tables[checkpoint];
			const size = Math.sqrt(counts.length);
			const table = cnnviz.plane(
				size,
				size,
				counts.map((count, i) => (count.at ? NaN : Math.log1p(count) * (i % (size + 1) ? 1 : -1))),
			);
			const colours = { kind: "signed", low: -this.most, high: this.most };
			map.show([table], colours);
			cnnviz.values(find(".table"), table, colours);
			counts.forEach((count, i) => (find(".table").children[i].textContent = count || ""));
			const [row, column] = cell.split(",").map(Number);
			map.point(row + 1, column + 1);
			find(".examples").replaceChildren(...(net.examples[checkpoint][[row, column]] ?? []).map(this.picture));
			const text = `${name}, true ${row}, answer ${column}: ${counts[(row + 1) * size + column + 1]}`;
			return (find("p").textContent = text);
		}
	}

	TrainingSteps.define("cnn-training-steps");
})();
