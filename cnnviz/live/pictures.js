/**
 * Readers' own pictures, read to the levels that Python's `read_image` gives.
 *
 * Browsers differ in what they make of a file's side notes, and some show half a file as
 * if it were whole: the parts that hold pixels are taken out and checked, and these the
 * browser decodes. Colour profiles are ignored; what is transparent lies over white; an
 * animation gives its first frame. Transparency, and 16 bits a channel, may cost two
 * levels. Formats other than PNG, JPEG, WebP, GIF and BMP are the browser's alone.
 */
"use strict";

(() => {
	const MOST_PIXELS = 64e6;
	const CUT_SHORT = "This file is cut short: a part of the picture is missing.";
	const DAMAGED = "This file is damaged: its pixels are not those of its checksum.";
	const INEXACT =
		"This browser alters pixels that pages read, which guards your privacy: numbers from pictures are not exact.";
	const UNREADABLE = "This is no picture that the browser can read.";

	/** The bytes of a file; whatever lies beyond its end is refused. */
	class Bytes {
		constructor(buffer) {
			this.all = new Uint8Array(buffer);
			this.view = new DataView(buffer);
		}

		/** The bytes from `start` up to `end`. */
		part(start, end) {
			if (end > this.all.length) throw new cnnviz.InputError(CUT_SHORT);
			return this.all.subarray(start, end);
		}

		/** The whole number of `count` bytes at a place, its highest byte first, or its lowest. */
		number(start, count, lowestFirst) {
			this.part(start, start + count);
			return this.view[`getUint${8 * count}`](start, lowestFirst);
		}

		/** The characters from `start` on. */
		text(start, count) {
			return String.fromCharCode(...this.all.subarray(start, start + count));
		}
	}

	/** What a byte does to a checksum: its remainder, bit by bit. */
	const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
		let rest = byte;
		for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0);
		return rest;
	});

	/** The checksum that PNG uses (CRC-32 of ISO 3309). */
	function checksum(bytes) {
		let sum = 0xffffffff;
		for (let i = 0; i < bytes.length; i++) sum = (sum >>> 8) ^ REMAINDERS[(sum ^ bytes[i]) & 255];
		return ~sum >>> 0;
	}

	/** The orientation in EXIF notes, 1 (upright) to 8; 1 where they are broken. */
	function orientationIn(file, start) {
		const lowestFirst = file.text(start, 1) === "I";
		try {
			const table = start + file.number(start + 4, 4, lowestFirst);
			const end = table + 2 + 12 * file.number(table, 2, lowestFirst);
			for (let entry = table + 2; entry < end; entry += 12) {
				if (file.number(entry, 2, lowestFirst) === 0x0112) return file.number(entry + 8, 2, lowestFirst);
			}
		} catch (error) {
			if (!(error instanceof cnnviz.InputError)) throw error;
		}
		return 1;
	}

	/** Of a PNG: the chunks that it can't be read without, and its transparency. */
	function partsOfPNG(file) {
		const parts = [file.part(0, 8)];
		let orientation = 1;
		let kind = "";
		for (let start = 8; kind !== "IEND";) {
			kind = file.text(start + 4, 4);
			const end = start + 8 + file.number(start, 4);
			if (kind === "eXIf") orientation = orientationIn(file, start + 8);
			if (/^[A-Z]/.test(kind) || kind === "tRNS") {
				if (checksum(file.part(start + 4, end)) !== file.number(end, 4)) throw new cnnviz.InputError(DAMAGED);
				parts.push(file.part(start, end + 4));
			}
			start = end + 4;
		}
		return { parts, orientation };
	}

	/** Where the next segment of a JPEG begins: 255 and its kind, which pixels never hold. */
	function nextSegment(file, start) {
		for (let at = file.all.indexOf(255, start); at >= 0; at = file.all.indexOf(255, at + 1)) {
			const kind = file.all[at + 1];
			const inPixels = kind <= 1 || (kind >= 0xd0 && kind <= 0xd7) || kind === 255;
			if (!inPixels) return at;
		}
		throw new cnnviz.InputError(CUT_SHORT);
	}

	/** Of a JPEG: all segments but comments and applications' notes. */
	function partsOfJPEG(file) {
		const [COMMENT, END, FIRST_NOTE, LAST_NOTE, EXIF, ADOBE] = [0xfe, 0xd9, 0xe1, 0xef, 0xe1, 0xee];
		const parts = [file.part(0, 2)];
		let orientation = 1;
		let start = nextSegment(file, 2);
		for (let kind; (kind = file.number(start + 1, 1)) !== END;) {
			const next = nextSegment(file, start + 2 + file.number(start + 2, 2));
			// Adobe's note tells how colours are coded.
			const note = kind === COMMENT || (kind >= FIRST_NOTE && kind <= LAST_NOTE && kind !== ADOBE);
			if (!note) parts.push(file.part(start, next));
			if (kind === EXIF && file.text(start + 4, 6) === "Exif\0\0") {
				orientation = orientationIn(file, start + 10);
			}
			start = next;
		}
		parts.push(file.part(start, start + 2));
		return { parts, orientation };
	}

	/** Of a WebP: the chunks with pixels and their transparency. */
	function partsOfWebP(file) {
		const parts = [];
		let orientation = 1;
		for (let start = 12, end; start + 8 <= file.all.length; start = end) {
			const kind = file.text(start, 4);
			const size = file.number(start + 4, 4, true);
			end = start + 8 + size + (size % 2);
			if (kind === "EXIF") {
				const prefix = file.text(start + 8, 6) === "Exif\0\0" ? 6 : 0;
				orientation = orientationIn(file, start + 8 + prefix);
			}
			if (!["VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF"].includes(kind)) continue;
			const chunk = file.part(start, start + 8 + size).slice();
			if (kind === "VP8X") chunk[8] &= 0b11010011; // no profile, no EXIF, no XMP
			parts.push(chunk, new Uint8Array(size % 2));
		}
		const size = new DataView(new ArrayBuffer(4));
		size.setUint32(
			0,
			parts.reduce((sum, { length }) => sum + length, 4),
			true,
		);
		return { parts: ["RIFF", size, "WEBP", ...parts], orientation };
	}

	/** Of a GIF: all, if its first frame is whole. */
	function partsOfGIF(file) {
		const IMAGE = 0x2c;
		const coloursAfter = (place) => {
			const flags = file.number(place, 1);
			return flags & 128 ? 3 * 2 ** ((flags & 7) + 1) : 0;
		};
		let kind = 0;
		for (let at = 13 + coloursAfter(10); kind !== IMAGE; at++) {
			kind = file.number(at, 1);
			at += kind === IMAGE ? 11 + coloursAfter(at + 9) : 2;
			for (let size; (size = file.number(at, 1));) at += 1 + size;
		}
		return { parts: [file.all], orientation: 1 };
	}

	/** Of a BMP: all, if it is as long as it says. */
	function partsOfBMP(file) {
		file.part(0, file.number(2, 4, true));
		return { parts: [file.all], orientation: 1 };
	}

	const FORMATS = [
		[/^\x89PNG/, partsOfPNG],
		[/^\xff\xd8/, partsOfJPEG],
		[/^RIFF[^]{4}WEBP/, partsOfWebP],
		[/^GIF8/, partsOfGIF],
		[/^BM/, partsOfBMP],
	];

	/** The parts of a file that a browser shall decode, and how to turn what comes. */
	function partsOf(file) {
		const [, parts] = FORMATS.find(([start]) => start.test(file.text(0, 12))) ?? [];
		return parts ? parts(file) : { parts: [file.all], orientation: 1 };
	}

	/** Refuse a picture that is too large, before it is decoded. */
	async function checkSize(blob) {
		const reader = new FileReader();
		const address = new Promise((done) => (reader.onloadend = () => done(reader.result ?? "")));
		reader.readAsDataURL(blob);
		const image = Object.assign(new Image(), { src: await address });
		await new Promise((done) => (image.onload = image.onerror = done));
		const pixels = image.naturalWidth * image.naturalHeight;
		if (pixels <= MOST_PIXELS) return;
		const [found, most] = [pixels, MOST_PIXELS].map((number) => Math.round(number / 1e6));
		throw new cnnviz.InputError(`This picture has ${found} megapixels; at most ${most} can be read.`);
	}

	/** Where right and down of a picture lead, by its orientation: EXIF 2.3, table 6. */
	const TURNS = {
		2: [-1, 0, 0, 1],
		3: [-1, 0, 0, -1],
		4: [1, 0, 0, -1],
		5: [0, 1, 1, 0],
		6: [0, 1, -1, 0],
		7: [0, -1, -1, 0],
		8: [0, -1, 1, 0],
	};

	/** Red, green and blue of a file, 0–255; a larger picture is scaled to `side` a side. */
	async function readPicture(file, side = Infinity) {
		const { parts, orientation } = partsOf(new Bytes(await file.arrayBuffer()));
		const blob = new Blob(parts);
		await checkSize(blob);
		const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
		const image = await createImageBitmap(blob, options).catch(() => {
			throw new cnnviz.InputError(UNREADABLE);
		});
		const scale = Math.min(side / Math.max(image.width, image.height), 1);
		const [across, down] = [image.width, image.height].map((size) => Math.max(Math.round(size * scale), 1));
		const turn = TURNS[orientation] ?? [1, 0, 0, 1];
		const [width, height] = turn[0] ? [across, down] : [down, across];
		const canvas = Object.assign(document.createElement("canvas"), { width, height });
		const context = canvas.getContext("2d", { willReadFrequently: true });
		Object.assign(context, { fillStyle: "#fff", imageSmoothingQuality: "high" });
		context.fillRect(0, 0, width, height);
		context.setTransform(...turn, width / 2, height / 2);
		context.drawImage(image, -across / 2, -down / 2, across, down);
		return readCanvas(canvas);
	}

	/** Red, green and blue of what a canvas shows. */
	function readCanvas(canvas) {
		const { width, height } = canvas;
		const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
		return [0, 1, 2].map((channel) => {
			const map = cnnviz.plane(width, height);
			for (let i = 0; i < map.data.length; i++) map.data[i] = data[4 * i + channel];
			return map;
		});
	}

	/** What to tell if a canvas of this size is not read as it was drawn; else nothing. */
	function inexactness({ width, height }) {
		const canvas = Object.assign(document.createElement("canvas"), { width, height });
		const context = canvas.getContext("2d", { willReadFrequently: true });
		const image = context.createImageData(width, height);
		image.data.forEach((_, i) => (image.data[i] = i % 4 === 3 ? 255 : (i * 37) & 255));
		context.putImageData(image, 0, 0);
		const { data } = context.getImageData(0, 0, width, height);
		return data.every((level, i) => level === image.data[i]) ? "" : INEXACT;
	}

	Object.assign(cnnviz, { readPicture, readCanvas, inexactness });
})();
