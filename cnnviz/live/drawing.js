/**
 * How the live figures draw numbers. A scale says what colours mean: "grey" runs from
 * black to white, "signed" from blue over white at zero to red, as in Python's figures.
 *
 * @typedef {{kind: "grey"|"signed", low: number, high: number}} Scale
 */
"use strict";

(() => {
	// Every fifth colour of matplotlib's RdBu_r (C. Brewer's RdBu), blue to red.
	const SIGNED = [
		[5, 48, 97],
		[33, 102, 172],
		[67, 147, 195],
		[146, 197, 222],
		[209, 229, 240],
		[247, 247, 247],
		[253, 219, 199],
		[244, 165, 130],
		[214, 96, 77],
		[178, 24, 43],
		[103, 0, 31],
	];

	/** The colour [r, g, b] at a place from 0 to 1. */
	function colorAt(kind, place) {
		const inside = Math.min(Math.max(place, 0), 1) || 0; // NaN is 0
		if (kind === "grey") return Array(3).fill(Math.round(inside * 255));
		// Between two colours.
		const first = Math.min(Math.floor(inside * 10), 9);
		const share = inside * 10 - first;
		return SIGNED[first].map((level, i) => Math.round(level + (SIGNED[first + 1][i] - level) * share));
	}

	const tables = {}; // of colours, by kind
	const images = new WeakMap();

	/** 256 colours as a canvas stores them (little-endian, opaque). */
	function table(kind) {
		tables[kind] ??= Uint32Array.from({ length: 256 }, (_, i) => {
			const [r, g, b] = colorAt(kind, i / 255);
			return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
		});
		return tables[kind];
	}

	/** Limits symmetric about zero that hold all numbers of some maps. */
	function signedScale(...maps) {
		const high = cnnviz.limit(...maps);
		return { kind: "signed", low: -high, high };
	}

	/** Draw one map, a pixel a number, or three as red, green and blue. */
	function paint(canvas, maps, scale) {
		const [{ width, height }] = maps;
		const context = canvas.getContext("2d");
		if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
		if (images.get(canvas)?.width !== width || images.get(canvas).height !== height) {
			images.set(canvas, context.createImageData(width, height));
		}
		const image = images.get(canvas);
		const factor = 255 / (scale.high - scale.low || 1);
		const shift = -scale.low * factor;
		if (maps.length === 3) {
			const [red, green, blue] = maps.map(({ data }) => data);
			const levels = image.data; // rounds what is put into it and keeps it within 0–255
			for (let i = 0, at = 0; i < red.length; i++) {
				levels[at++] = red[i] * factor + shift;
				levels[at++] = green[i] * factor + shift;
				levels[at++] = blue[i] * factor + shift;
				levels[at++] = 255;
			}
		} else {
			const colors = table(scale.kind);
			const pixels = new Uint32Array(image.data.buffer);
			const level = new Uint8ClampedArray(1);
			const [{ data }] = maps;
			for (let i = 0; i < pixels.length; i++) {
				level[0] = data[i] * factor + shift;
				pixels[i] = colors[level[0]];
			}
		}
		context.putImageData(image, 0, 0);
	}

	/** Maps as one: side by side, `across` a row. */
	function tile(maps, across) {
		const [{ width, height }] = maps;
		const all = cnnviz.plane(across * width, Math.ceil(maps.length / across) * height);
		maps.forEach(({ data }, i) => {
			const from = Math.floor(i / across) * height * all.width + (i % across) * width;
			for (let r = 0; r < height; r++) {
				all.data.set(data.subarray(r * width, (r + 1) * width), from + r * all.width);
			}
		});
		return all;
	}

	/** Write a number as Python's figures do: few digits, a true minus sign. */
	function format(value, digits = 3) {
		if (!Number.isFinite(value)) return String(value);
		const size = Math.abs(value);
		const text =
			Number.isInteger(value) && size < 1e6
				? String(value)
				: size >= 1e5 || (size < 1e-3 && size > 0)
					? value.toExponential(digits - 1)
					: String(Number(value.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1))))));
		return text.replaceAll("-", "−");
	}

	/** A new element of the page. */
	function element(tag, attributes = {}, ...children) {
		const made = document.createElement(tag);
		for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
		made.append(...children);
		return made;
	}

	/** Give an element a ground, or none, and the ink that is read best on it (WCAG 2). */
	function tint({ style }, color) {
		const [red, green, blue] = (color ?? []).map((level) => (level / 255) ** 2.2);
		style.background = color ? `rgb(${color.join(" ")})` : "none";
		style.color = !color ? "" : red * 0.2126 + green * 0.7152 + blue * 0.0722 > 0.18 ? "#000" : "#fff";
	}

	/** Fill `host` with a map's values on their colours; `marked(row, column)` are framed. */
	function values(host, map, scale, { digits = 3, decimals = 20, marked = () => false } = {}) {
		host.classList.add("values");
		host.style.setProperty("--columns", map.width);
		while (host.children.length > map.data.length) host.lastChild.remove();
		while (host.children.length < map.data.length) host.append(element("span", { class: "cell" }));
		map.data.forEach((value, i) => {
			const cell = host.children[i];
			const missing = Number.isNaN(value);
			const color = colorAt(scale.kind, (value - scale.low) / (scale.high - scale.low || 1));
			cell.textContent = missing ? "" : format(Number(value.toFixed(decimals)), digits);
			tint(cell, missing ? null : color);
			cell.classList.toggle("marked", marked(Math.floor(i / map.width), i % map.width));
		});
	}

	/** Fill `host` with a colour bar and its ends in numbers. */
	function colorBar(host, { kind, low, high }, words = "") {
		host.classList.add("colour-bar");
		const stops = Array.from({ length: 11 }, (_, i) => `rgb(${colorAt(kind, i / 10).join(" ")})`);
		const strip = element("i");
		strip.style.background = `linear-gradient(to right, ${stops})`;
		const middle = low < 0 && high > 0 ? [element("span", {}, "0")] : [];
		host.replaceChildren(
			strip,
			element("span", {}, format(low)),
			...middle,
			element("span", {}, format(high)),
			...(words ? [element("small", {}, words)] : []),
		);
	}

	/** Where arrow keys lead: rows down, columns to the right. */
	const WAYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

	/** A map on the page, frames over it, and a place that is pointed at. */
	class Picture {
		/** `onpick(row, column)` is called where the reader points. */
		constructor(host, { label, onpick }) {
			this.canvas = element("canvas", { role: "img", "aria-label": label });
			this.host = host;
			this.frames = new Map();
			host.classList.add("picture");
			host.append(this.canvas);
			this.corners = ["left: 0; top: 0", "left: 100%; top: 0", "left: 0; top: 100%"].map((place) => {
				const corner = host.appendChild(element("i"));
				corner.style.cssText = `position: absolute; ${place}`;
				return corner;
			});
			if (onpick) this.#listen(label, onpick);
		}

		/** Draw one map, or three as red, green and blue; they fill the host. */
		show(maps, scale) {
			const [{ width, height }] = maps;
			this.size = { width, height };
			this.host.style.aspectRatio = `${width} / ${height}`;
			this.host.style.maxWidth = `${(32 * width) / height}rem`;
			paint(this.canvas, maps, scale);
		}

		/** Put a frame round a window (ends not included), or take it away. */
		frame(name, window) {
			let frame = this.frames.get(name);
			if (!frame) {
				frame = element("i", { class: `frame ${name}` });
				this.frames.set(name, frame);
				this.host.append(frame);
			}
			frame.hidden = !window;
			if (!window) return;
			const { width, height } = this.size;
			const { top, left, bottom, right } = window;
			Object.assign(frame.style, {
				top: `${(100 * top) / height}%`,
				left: `${(100 * left) / width}%`,
				height: `${(100 * (bottom - top)) / height}%`,
				width: `${(100 * (right - left)) / width}%`,
			});
		}

		/** Frame one place: arrow keys go on from there. */
		point(row, column) {
			this.at = [row, column];
			this.frame("at", { top: row, left: column, bottom: row + 1, right: column + 1 });
		}

		/**
		 * Row and column, with fractions, of a pointer's place on the screen. The picture's
		 * corners are measured, since pages can be zoomed, turned and mirrored.
		 */
		placeOf({ clientX, clientY }) {
			const [origin, right, down] = this.corners.map((corner) => corner.getBoundingClientRect());
			const [ax, ay] = [right.x - origin.x, right.y - origin.y];
			const [bx, by] = [down.x - origin.x, down.y - origin.y];
			const [x, y] = [clientX - origin.x, clientY - origin.y];
			// (x, y) = across · a + along · b, by Cramer's rule.
			const area = ax * by - ay * bx;
			const across = (x * by - y * bx) / area;
			const along = (ax * y - ay * x) / area;
			return [along * this.size.height, across * this.size.width];
		}

		/** Let pointers and arrow keys choose a place. */
		#listen(label, onpick) {
			const { host } = this;
			host.tabIndex = 0;
			host.setAttribute("role", "application");
			host.setAttribute("aria-label", `${label}. Arrow keys choose a place, Shift goes by ten.`);
			this.canvas.setAttribute("aria-hidden", "true");
			const pick = (row, column) => {
				const { width, height } = this.size;
				const inside = (value, size) => Math.min(Math.max(Math.floor(value), 0), size - 1);
				this.at = [inside(row, height), inside(column, width)];
				onpick(...this.at);
			};
			const pointed = (event) => {
				const hovers = event.type === "pointermove" && event.pointerType !== "mouse" && !event.buttons;
				if (this.size && event.isPrimary && !hovers) pick(...this.placeOf(event));
			};
			host.onpointerdown = pointed;
			host.onpointermove = pointed;
			host.addEventListener("keydown", (event) => {
				const way = WAYS[event.key];
				if (!way || !this.size || event.ctrlKey || event.metaKey || event.altKey) return;
				event.preventDefault();
				const [row, column] = this.at ?? [0, 0];
				const pixels = event.shiftKey ? 10 : 1;
				pick(row + way[0] * pixels, column + way[1] * pixels);
			});
		}
	}

	Object.assign(cnnviz, {
		colorAt,
		signedScale,
		paint,
		tile,
		format,
		element,
		tint,
		values,
		colorBar,
		Picture,
	});
})();
