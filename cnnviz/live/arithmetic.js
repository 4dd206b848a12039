/**
 * The arithmetic of the live figures: what PyTorch computes, in plain loops.
 *
 * A map is one picture of numbers, {data, width, height}, its data row by row. All
 * functions return new maps. "Convolution" does not turn the kernel, as in PyTorch.
 *
 * @typedef {{data: Float32Array, width: number, height: number}} Plane
 * @typedef {{stride?: number, padding?: number, dilation?: number}} Windows
 */
"use strict";

globalThis.cnnviz ??= {};

(() => {
/** A map of zeros, or of the numbers given. */
function plane(width, height, data = new Float32Array(width * height)) {
	return { data, width, height };
}

/** How many windows fit along one side; below one: none. */
function outputSize(size, kernel, { stride = 1, padding = 0, dilation = 1 } = {}) {
	return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** What one output sees of its input (bottom and right not included, padding outside). */
function windowOf(row, column, kernel, { stride = 1, padding = 0, dilation = 1 } = {}) {
	const top = row * stride - padding;
	const left = column * stride - padding;
	return {
		top,
		left,
		bottom: top + dilation * (kernel.height - 1) + 1,
		right: left + dilation * (kernel.width - 1) + 1,
	};
}

function pad(map, border) {
	if (!border) return map;
	const padded = plane(map.width + 2 * border, map.height + 2 * border);
	for (let row = 0; row < map.height; row++) {
		const line = map.data.subarray(row * map.width, (row + 1) * map.width);
		padded.data.set(line, (row + border) * padded.width + border);
	}
	return padded;
}

/** Row and column of "row,column", within a map. */
function placeIn({ width, height }, text) {
	return text.split(",").map((v, i) => Math.min(v, [height, width][i] - 1));
}

/** The part of a map in a window, NaN where there is no map. */
function crop({ data, width, height }, { top, left, bottom, right }) {
	const part = plane(right - left, bottom - top);
	for (let row = top, at = 0; row < bottom; row++) {
		for (let column = left; column < right; column++, at++) {
			const inside = row >= 0 && column >= 0 && row < height && column < width;
			part.data[at] = inside ? data[row * width + column] : NaN;
		}
	}
	return part;
}

/** Add one kernel row times the numbers under it to each sum, a weight at a time. */
function addRow(sums, input, from, { stride, dilation }, weights, at, length) {
	for (let column = 0; column < length; column++) {
		const weight = weights[at + column];
		let q = from + column * dilation;
		if (weight) for (let x = 0; x < sums.length; x++, q += stride) sums[x] += weight * input[q];
	}
}

/** The same for stride 1 and seven weights: each number is read once and handed on. */
function slideSeven(sums, input, from, step, weights, at) {
	const a = weights[at], b = weights[at + 1], c = weights[at + 2], d = weights[at + 3];
	const e = weights[at + 4], f = weights[at + 5], g = weights[at + 6];
	for (let first = 0; first < step; first++) {
		let q = from + first;
		let t = input[q], u = input[(q += step)], v = input[(q += step)];
		let w = input[(q += step)], y = input[(q += step)], z = input[(q += step)];
		for (let x = first; x < sums.length; x += step) {
			const next = input[(q += step)];
			sums[x] += (a * t + b * u + c * v) + (d * w + e * y + f * z + g * next);
			t = u; u = v; v = w; w = y; y = z; z = next;
		}
	}
}

/** The same for three rows of three weights at once; `down` leads from row to row. */
function slideThree(sums, input, from, step, down, [a, b, c, d, e, f, g, h, i]) {
	for (let first = 0; first < step; first++) {
		let p = from + first, q = p + down, r = q + down;
		let t = input[p], u = input[(p += step)];
		let v = input[q], w = input[(q += step)];
		let y = input[r], z = input[(r += step)];
		for (let x = first; x < sums.length; x += step) {
			const above = input[(p += step)], beside = input[(q += step)], below = input[(r += step)];
			sums[x] += (a * t + b * u + c * above) + (d * v + e * w + f * beside) + (g * y + h * z + i * below);
			t = u; u = above; v = w; w = beside; y = z; z = below;
		}
	}
}

/**
 * Slide each kernel over its map (already padded) and add all up. At stride 1 weights
 * are taken many at a time: a loop a weight takes three times as long.
 */
function sumOfProducts(maps, kernels, bias, width, height, windows, result = plane(width, height)) {
	const { stride, dilation } = windows;
	const [{ width: columns, height: rows }] = kernels;
	const side = columns <= 3 && rows <= 3 ? 3 : 7;
	const tiles = kernels.map((kernel) => stride === 1 && columns <= side && spread(kernel, side));
	const three = side === 3 && tiles[0];
	const exact = new Float64Array(width);
	for (let row = 0; row < height; row++) {
		const line = result.data.subarray(row * width, (row + 1) * width);
		const sums = three ? line : exact;
		sums.fill(bias);
		for (let m = 0; m < maps.length; m++) {
			const { data, width: wide } = maps[m];
			const down = dilation * wide;
			const last = data.length - width - (side - 1) * dilation;
			let from = row * stride * wide;
			if (three && from + 2 * down <= last) {
				slideThree(sums, data, from, dilation, down, tiles[m]);
				continue;
			}
			for (let i = 0; i < rows; i++, from += down) {
				if (tiles[m] && !three && from <= last) slideSeven(sums, data, from, dilation, tiles[m], 7 * i);
				else addRow(sums, data, from, windows, kernels[m].data, i * columns, columns);
			}
		}
		if (!three) line.set(sums);
	}
	return result;
}

/** The weights of a kernel in rows of `side`, filled up with zeros. */
function spread({ data, width, height }, side) {
	const weights = new Float64Array(side * Math.max(side, height));
	for (let row = 0; row < height; row++) weights.set(data.subarray(row * width, (row + 1) * width), row * side);
	return weights;
}

/**
 * Slide a kernel over a map.
 * @param {Plane} map @param {Plane} kernel @param {Windows} [windows]
 * @param {Plane} [old] a result whose memory may be used again
 */
function convolve(map, kernel, { stride = 1, padding = 0, dilation = 1 } = {}, old) {
	const windows = { stride, padding, dilation };
	const width = outputSize(map.width, kernel.width, windows);
	const height = outputSize(map.height, kernel.height, windows);
	if (width < 1 || height < 1) {
		throw new cnnviz.InputError(
			`The window is larger than the picture (${map.height} × ${map.width}).`,
		);
	}
	const fits = old?.width === width && old.height === height;
	return sumOfProducts([pad(map, padding)], [kernel], 0, width, height, windows, fits ? old : undefined);
}

function relu(map) {
	const result = plane(map.width, map.height);
	for (let i = 0; i < map.data.length; i++) result.data[i] = Math.max(map.data[i], 0);
	return result;
}

function absolute(map) {
	const result = plane(map.width, map.height);
	for (let i = 0; i < map.data.length; i++) result.data[i] = Math.abs(map.data[i]);
	return result;
}

/** Keep one number of each window, its "max" or its "average". */
function pool(map, size, kind = "max", stride = size) {
	const width = Math.floor((map.width - size) / stride) + 1;
	const height = Math.floor((map.height - size) / stride) + 1;
	if (width < 1 || height < 1) {
		throw new cnnviz.InputError("The pooling window is larger than the map.");
	}
	const result = plane(width, height);
	for (let row = 0, at = 0; row < height; row++) {
		for (let column = 0; column < width; column++, at++) {
			let largest = -Infinity;
			let sum = 0;
			for (let i = 0; i < size; i++) {
				const from = (row * stride + i) * map.width + column * stride;
				for (let j = from; j < from + size; j++) {
					if (map.data[j] > largest) largest = map.data[j];
					sum += map.data[j];
				}
			}
			result.data[at] = kind === "max" ? largest : sum / (size * size);
		}
	}
	return result;
}

function range(...maps) {
	let low = Infinity;
	let high = -Infinity;
	for (const { data } of maps) {
		// Engines are ten times faster where a loop always meets one type of array.
		const numbers = data instanceof Float32Array ? data : new Float32Array(data);
		for (let i = 0; i < numbers.length; i++) {
			if (numbers[i] < low) low = numbers[i];
			if (numbers[i] > high) high = numbers[i];
		}
	}
	return [low, high];
}

/** The largest magnitude in some maps; 1 where all is zero. */
function limit(...maps) {
	const [low, high] = range(...maps);
	return Math.max(-low, high) || 1;
}

/** The window round what is not zero, and its centre of mass; null where all is zero. */
function measure({ data, width }) {
	let [top, left, bottom, right, mass, x, y] = [Infinity, width, 0, 0, 0, 0, 0];
	data.forEach((value, i) => {
		if (!value) return;
		const [row, column] = [Math.floor(i / width), i % width];
		[top, bottom] = [Math.min(top, row), row + 1];
		[left, right] = [Math.min(left, column), Math.max(right, column + 1)];
		mass += value;
		x += value * (column + 0.5);
		y += value * (row + 0.5);
	});
	return mass ? { top, left, bottom, right, x: x / mass, y: y / mass } : null;
}

/** Red, green and blue made one grey by OpenCV's weights, for pixels 0–255. */
function grey([red, green, blue]) {
	const result = plane(red.width, red.height);
	for (let i = 0; i < result.data.length; i++) {
		result.data[i] = (red.data[i] * 9798 + green.data[i] * 19235 + blue.data[i] * 3735 + 16384) >> 15;
	}
	return result;
}

function softmax(scores) {
	const top = Math.max(...scores);
	const powers = Array.from(scores, (score) => Math.exp(score - top));
	const sum = powers.reduce((a, b) => a + b);
	return powers.map((power) => power / sum);
}

/** Score of each output: weights of shape (outputs, inputs), laid out by input. */
function linear(input, { columns, bias, outputs }) {
	const sums = Float64Array.from(bias);
	for (let i = 0; i < input.length; i++) {
		const value = input[i];
		if (value === 0) continue;
		const from = i * outputs;
		for (let j = 0; j < outputs; j++) sums[j] += value * columns[from + j];
	}
	return Float32Array.from(sums);
}

const LAYERS = {
	conv(maps, { kernels, bias, stride, padding, dilation }) {
		const padded = maps.map((map) => pad(map, padding));
		const [{ width: wide, height: high }] = maps;
		const windows = { stride, padding, dilation };
		return kernels.map((slices, filter) => {
			const width = outputSize(wide, slices[0].width, windows);
			const height = outputSize(high, slices[0].height, windows);
			return sumOfProducts(padded, slices, bias?.[filter] ?? 0, width, height, windows);
		});
	},
	maxpool: (maps, { size, stride }) => maps.map((map) => pool(map, size, "max", stride)),
	norm: (maps, { factor, offset }) =>
		maps.map((map, i) => plane(map.width, map.height, map.data.map((v) => v * factor[i] + offset[i]))),
	relu: (maps) => maps.map(relu),
	flatten(maps) {
		const row = new Float32Array(maps.reduce((sum, { data }) => sum + data.length, 0));
		let at = 0;
		for (const { data } of maps) {
			row.set(data, at);
			at += data.length;
		}
		return [plane(row.length, 1, row)];
	},
	linear(maps, layer) {
		const scores = linear(maps[0].data, layer);
		return [plane(scores.length, 1, scores)];
	},
};

/** Run the layers that `readNetwork` gave; return the maps of each by its name, in order. */
function run(layers, input) {
	const outputs = new Map();
	let maps = [input];
	for (const layer of layers) {
		maps = LAYERS[layer.kind](maps, layer);
		outputs.set(layer.name, maps);
	}
	return outputs;
}

/** What a unit of a map sees of the picture, through all layers up to its own. */
function fieldOf(layers, row, column) {
	let field = { top: row, left: column, bottom: row + 1, right: column + 1 };
	for (const { kernels, size = 1, ...windows } of layers.toReversed()) {
		const kernel = kernels?.[0][0] ?? { width: size, height: size };
		const { top, left } = windowOf(field.top, field.left, kernel, windows);
		field = { ...windowOf(field.bottom - 1, field.right - 1, kernel, windows), top, left };
	}
	return field;
}

const TYPES = { uint8: Uint8Array, int8: Int8Array, float32: Float32Array };

function unpack({ dtype, shape, base64, scale }) {
	const text = atob(base64);
	const bytes = new Uint8Array(text.length);
	for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
	const stored = new TYPES[dtype](bytes.buffer);
	if (!scale) return { data: stored, shape };
	const factors = unpack(scale).data;
	const row = stored.length / factors.length;
	const data = new Float32Array(stored.length);
	for (let r = 0, at = 0; r < factors.length; r++) {
		for (let i = 0; i < row; i++, at++) data[at] = stored[at] * factors[r];
	}
	return { data, shape };
}

function unpackMaps(packed) {
	const { data, shape } = unpack(packed);
	const [height, width] = shape.slice(-2);
	const size = width * height;
	return Array.from({ length: data.length / size }, (_, i) =>
		plane(width, height, Float32Array.from(data.subarray(i * size, (i + 1) * size))),
	);
}

/** Layers as `run` takes them, from those that Python packed. */
function readNetwork(packed) {
	return packed.map((layer) => {
		const read = { ...layer };
		for (const name of ["bias", "factor", "offset"]) {
			if (layer[name]) read[name] = unpack(layer[name]).data;
		}
		if (layer.kind === "conv") {
			const slices = unpackMaps(layer.weight);
			const each = layer.weight.shape[1];
			read.kernels = Array.from({ length: layer.weight.shape[0] }, (_, i) => slices.slice(i * each, (i + 1) * each));
		}
		if (layer.kind === "linear") {
			const { data, shape } = unpack(layer.weight);
			const [outputs, inputs] = shape;
			read.outputs = outputs;
			read.columns = new Float32Array(data.length);
			for (let o = 0; o < outputs; o++) {
				for (let i = 0; i < inputs; i++) read.columns[i * outputs + o] = data[o * inputs + i];
			}
		}
		return read;
	});
}

Object.assign(cnnviz, {
	plane, outputSize, windowOf, placeIn, crop, pad, convolve, relu, absolute, pool, range, limit, measure, grey, softmax,
	linear, run, fieldOf, unpack, unpackMaps, readNetwork,
	InputError: class extends Error {},
});
})();
