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
  /** @returns {Plane} a map of zeros, or over the numbers given */
  function plane(width, height, data = new Float32Array(width * height)) {
    return { data, width, height };
  }

  /** How many windows fit along one side; fewer than one means that none does. */
  function outputSize(size, kernel, { stride = 1, padding = 0, dilation = 1 } = {}) {
    return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  }

  /**
   * What one output sees of its input: rows from top to bottom, columns from left to
   * right, the ends not included; padding lies outside of the picture.
   */
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

  /** A map with a border of zeros, or the map itself where there is none to add. */
  function pad(map, border) {
    if (!border) return map;
    const padded = plane(map.width + 2 * border, map.height + 2 * border);
    for (let row = 0; row < map.height; row++) {
      const line = map.data.subarray(row * map.width, (row + 1) * map.width);
      padded.data.set(line, (row + border) * padded.width + border);
    }
    return padded;
  }

  /**
   * Add to each sum the products of one kernel row with the numbers under it. The
   * weights are taken four, two or one at a time: a loop a weight takes twice as long.
   */
  function addRow(sums, start, count, input, from, stride, dilation, weights, at, length) {
    let column = 0;
    for (; column + 4 <= length; column += 4) {
      const [a, b, c, d] = weights.subarray(at + column, at + column + 4);
      let q = from + column * dilation;
      for (let x = start; x < start + count; x++, q += stride) {
        sums[x] +=
          a * input[q] + b * input[q + dilation] + c * input[q + 2 * dilation] + d * input[q + 3 * dilation];
      }
    }
    if (length - column === 3) {
      const [a, b, c] = weights.subarray(at + column, at + column + 3);
      let q = from + column * dilation;
      for (let x = start; x < start + count; x++, q += stride) {
        sums[x] += a * input[q] + b * input[q + dilation] + c * input[q + 2 * dilation];
      }
      return;
    }
    for (; column < length; column++) {
      const weight = weights[at + column];
      let q = from + column * dilation;
      for (let x = start; x < start + count; x++, q += stride) sums[x] += weight * input[q];
    }
  }

  /** Add the convolution of a map (already padded) to sums of the output's size. */
  function accumulate(sums, width, height, input, kernel, stride, dilation) {
    for (let row = 0; row < height; row++) {
      for (let i = 0; i < kernel.height; i++) {
        const from = (row * stride + i * dilation) * input.width;
        addRow(sums, row * width, width, input.data, from, stride, dilation, kernel.data, i * kernel.width, kernel.width);
      }
    }
  }

  /**
   * Slide a kernel over a map.
   * @param {Plane} map @param {Plane} kernel @param {Windows} [windows]
   * @returns {Plane}
   */
  function convolve(map, kernel, windows = {}) {
    const { stride = 1, padding = 0, dilation = 1 } = windows;
    const width = outputSize(map.width, kernel.width, windows);
    const height = outputSize(map.height, kernel.height, windows);
    if (width < 1 || height < 1) {
      throw new cnnviz.InputError(
        `The window is larger than the picture (${map.height} × ${map.width}).`,
      );
    }
    const sums = new Float64Array(width * height);
    accumulate(sums, width, height, pad(map, padding), kernel, stride, dilation);
    return plane(width, height, Float32Array.from(sums));
  }

  /** Negative numbers become zero. */
  function relu(map) {
    const result = plane(map.width, map.height);
    for (let i = 0; i < map.data.length; i++) result.data[i] = Math.max(map.data[i], 0);
    return result;
  }

  /**
   * Keep one number of each window.
   * @param {Plane} map @param {number} size @param {"max"|"average"} [kind]
   */
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

  /** The smallest and the largest number of some maps. */
  function range(...maps) {
    let low = Infinity;
    let high = -Infinity;
    for (const { data } of maps) {
      for (let i = 0; i < data.length; i++) {
        if (data[i] < low) low = data[i];
        if (data[i] > high) high = data[i];
      }
    }
    return [low, high];
  }

  /** The largest magnitude in some maps; 1 where all is zero. */
  function limit(...maps) {
    const [low, high] = range(...maps);
    return Math.max(-low, high) || 1;
  }

  /** Red, green and blue made one grey by OpenCV's weights, for pixels 0–255. */
  function grey([red, green, blue]) {
    const result = plane(red.width, red.height);
    for (let i = 0; i < result.data.length; i++) {
      result.data[i] = (red.data[i] * 9798 + green.data[i] * 19235 + blue.data[i] * 3735 + 16384) >> 15;
    }
    return result;
  }

  /** Numbers that add up to 1, in the order of the scores. */
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
        const sums = new Float64Array(width * height).fill(bias?.[filter] ?? 0);
        slices.forEach((slice, i) => accumulate(sums, width, height, padded[i], slice, stride, dilation));
        return plane(width, height, Float32Array.from(sums));
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

  /**
   * Run a network that `readNetwork` has read.
   * @param {{name: string, kind: string}[]} layers
   * @param {Plane} input one picture, 0–1
   * @returns {Map<string, Plane[]>} the maps of every layer, by its name, in order
   */
  function run(layers, input) {
    const outputs = new Map();
    let maps = [input];
    for (const layer of layers) {
      maps = LAYERS[layer.kind](maps, layer);
      outputs.set(layer.name, maps);
    }
    return outputs;
  }

  const TYPES = { uint8: Uint8Array, int8: Int8Array, float32: Float32Array };

  /** The numbers of an array that Python packed, and its shape. */
  function unpack({ dtype, shape, base64, scale }) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
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

  /** The maps of a packed array (height, width) or (…, height, width). */
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
    plane, outputSize, windowOf, pad, convolve, relu, pool, range, limit, grey, softmax,
    linear, run, unpack, unpackMaps, readNetwork,
    InputError: class extends Error {},
  });
})();
