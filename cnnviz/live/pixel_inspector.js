/**
 * <cnn-pixel-inspector>: point at a pixel and read its value, and those around it.
 *
 * Attributes: `picture` (its name), `at` ("row,column"). Data: {pictures: {name: packed}}.
 * Property `pixel`: the values at the place pointed at, 0–255.
 */
"use strict";

(() => {
	const AROUND = 3;
	const CHANNELS = ["red", "green", "blue"];

	class PixelInspector extends cnnviz.Figure {
		static markup = `
			<div class="controls"><label>picture <select name="picture"></select></label></div>
			<input name="at" hidden required pattern="\\d{1,5},\\d{1,5}" title="a row and a column" value="0,0">
			<div class="parts">
				<div class="whole"></div>
				<div class="near"><div class="title"></div><div class="neighbours"></div></div>
				<table><caption>The pixel pointed at</caption><thead></thead><tbody></tbody></table>
			</div>`;

		static styles = `
			.parts { display: grid; gap: .75rem; align-items: start;
				grid-template: "whole near" auto "whole table" 1fr / 1fr 1fr; }
			.parts.colour { grid-template: "whole table" auto "near near" auto / 1fr 1fr; }
			.whole { grid-area: whole; aspect-ratio: 1; }
			.near { grid-area: near; }
			.neighbours { display: flex; flex-wrap: wrap; gap: .5rem; }
			.neighbours > * { flex: 1 1 12rem; }
			table { grid-area: table; width: 100%; }
			caption { text-align: left; font-weight: 600; }
			th:first-child { text-align: left; }
			@container (max-width: 30rem) { .parts, .parts.colour { display: flex; flex-direction: column; align-items: stretch; } }`;

		async start({ pictures }) {
			this.pictures = new Map();
			for (const [name, packed] of Object.entries(pictures)) {
				this.pictures.set(name, await cnnviz.unpackPicture(packed));
			}
			const choice = this.form.elements.picture;
			choice.replaceChildren(...[...this.pictures.keys()].map((name) => new Option(name, name)));
			choice.parentElement.hidden = this.pictures.size === 1;
			this.whole = new cnnviz.Picture(this.find(".whole"), {
				label: "The picture",
				onpick: (row, column) => this.put("at", `${row},${column}`),
			});
		}

		/** The pixel must be one of the picture's. */
		conflicts({ picture, at }) {
			const words = cnnviz.outside(this.pictures.get(picture)[0], at);
			return words ? [[["at"], words]] : [];
		}

		render({ picture, at }) {
			const planes = this.pictures.get(picture);
			const { width } = planes[0];
			const [row, column] = cnnviz.placeIn(planes[0], at);
			this.amend({ at: `${row},${column}` });
			const around = {
				top: row - AROUND,
				left: column - AROUND,
				bottom: row + AROUND + 1,
				right: column + AROUND + 1,
			};
			const scale = { kind: "grey", low: 0, high: 255 };
			this.find(".parts").classList.toggle("colour", planes.length === 3);
			this.whole.show(planes, scale);
			this.whole.point(row, column);
			this.whole.frame("around", around);
			this.pixel = planes.map(({ data }) => data[row * width + column]);
			this.#showNeighbours(planes, around, scale);
			this.#showPixel(row, column);
		}

		#showNeighbours(planes, around, scale) {
			const host = this.find(".neighbours");
			this.find(".title").textContent = planes.length === 1 ? "Its neighbours" : "Its neighbours in red, green, blue";
			while (host.children.length > planes.length) host.lastChild.remove();
			planes.forEach((plane, i) => {
				const part = cnnviz.crop(plane, around);
				const grid = host.children[i] ?? host.appendChild(document.createElement("div"));
				cnnviz.values(grid, part, scale, { marked: (y, x) => y === AROUND && x === AROUND });
			});
		}

		#showPixel(row, column) {
			const { element } = cnnviz;
			const names = this.pixel.length === 1 ? ["grey"] : CHANNELS;
			const cells = (tag, first, texts) =>
				element("tr", {}, element("th", { scope: "row" }, first), ...texts.map((text) => element(tag, {}, text)));
			this.find("thead").replaceChildren(cells("th", `row ${row}, column ${column}`, names));
			this.find("tbody").replaceChildren(
				cells("td", "0–255", this.pixel.map(String)),
				cells(
					"td",
					"0–1",
					this.pixel.map((value) => (value / 255).toFixed(3)),
				),
			);
			this.say(`row ${row}, column ${column}: ${names.map((name, i) => `${name} ${this.pixel[i]}`).join(", ")} of 255`);
		}
	}

	PixelInspector.define("cnn-pixel-inspector");
})();
