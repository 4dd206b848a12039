/**
 * <cnn-channel-sum>: the partial maps of a filter's slices, each over an input map of its
 * own, are added one by one, then bias, then ReLU.
 *
 * Attributes: `at` ("row,column"), `added` (channels so far; two more are bias and ReLU),
 * `bias`, `use-0` … (does a channel count). Data: {names, maps, kernels}. Property: `sum`.
 */
"use strict";

(() => {
	const { element, format } = cnnviz;

	class ChannelSum extends cnnviz.Figure {
		static markup = `
			<input name="at" hidden required pattern="\\d+,\\d+" title="a row and a column" value="0,0">
			<div class="channels"></div>
			<div class="panels"><div><div class="title">The sum so far</div><div class="bar"></div></div>
				<div><div class="controls"><button class="play">play</button>
					<label>added <input name="added" type="range"></label>
					<label>bias <input name="bias" type="number" step="any" min="-1000" max="1000" value="0" required></label>
					</div>
				<table><thead><tr><th>here<th>number<th>sum so far</thead><tbody></tbody></table></div></div>`;

		static styles = `
			.channels { display: grid; gap: 1rem; margin-bottom: 1rem;
				grid-template-columns: repeat(auto-fit, minmax(min(10rem, 26cqi), 1fr)); }
			.channel { display: flex; flex-wrap: wrap; gap: .25rem .5rem; }
			.channel > * { flex: 1 1 100%; }
			.values { flex-basis: 6.5rem; container-type: inline-size; }
			.cell { font-size: min(30cqi / var(--columns), .75rem); }
			.faint > :last-child { opacity: .2; }
			table { width: 100%; }
			tr > :first-child { text-align: left; }
			.now { font-weight: 600 }`;

		start({ names, maps, kernels }) {
			this.names = names;
			this.maps = cnnviz.unpackMaps(maps);
			this.kernels = cnnviz.unpackMaps(kernels);
			this.partials = this.maps.map((map, i) => cnnviz.convolve(map, this.kernels[i]));
			const onpick = (...place) => this.put("at", place.join());
			const picture = (label) => new cnnviz.Picture(element("div"), { label, onpick });
			this.channels = names.map((name, i) => {
				const [input, partial] = ["Input", "Partial map"].map((words) => picture(`${words}, ${name}`));
				const [window, slice] = [element("div"), element("div")];
				const use = element("input", { type: "checkbox", name: `use-${i}`, checked: "" });
				const column = element(
					"div",
					{ class: "channel" },
					element("label", {}, use, name),
					input.host,
					element("span", {}, "window × slice"),
					window,
					slice,
					element("span", {}, "= partial map"),
					partial.host,
				);
				this.find(".channels").append(column);
				return { column, input, window, slice, partial };
			});
			this.whole = picture("The sum so far");
			this.find(".title").after(this.whole.host);
			const { added } = this.form.elements;
			added.max = added.value = names.length + 2;
			const step = () => {
				this.put("added", (added.valueAsNumber + 1) % (names.length + 3));
				return added.value !== added.max;
			};
			new cnnviz.Player(this.find(".play"), step, () => 1);
		}

		/** The unit must be one of the maps'. */
		conflicts({ at }) {
			const words = cnnviz.outside(this.partials[0], at);
			return words ? [[["at"], words]] : [];
		}

		render({ at, added, bias, ...use }) {
			const { maps, kernels, partials } = this;
			const [{ width, height, data }] = partials;
			const [row, column] = cnnviz.placeIn(partials[0], at);
			const here = row * width + column;
			const parts = partials.filter((_, i) => i < added && use[`use-${i}`]);
			const start = added > partials.length ? bias : 0;
			this.sum = {
				width,
				height,
				data: data.map((_, i) => parts.reduce((sum, part) => sum + part.data[i], start)),
			};
			if (added > partials.length + 1) this.sum = cnnviz.relu(this.sum);

			const [low, high] = cnnviz.range(...maps);
			const shades = low < 0 ? cnnviz.signedScale(...maps) : { kind: "grey", low: 0, high };
			const scale = cnnviz.signedScale(...partials, this.sum);
			this.channels.forEach((channel, i) => {
				const seen = cnnviz.windowOf(row, column, kernels[i]);
				channel.column.classList.toggle("faint", !parts.includes(partials[i]));
				channel.input.show([maps[i]], shades);
				channel.input.at = [row, column];
				channel.input.frame("window", seen);
				cnnviz.values(channel.window, cnnviz.crop(maps[i], seen), shades, { decimals: 2 });
				cnnviz.values(channel.slice, kernels[i], cnnviz.signedScale(...kernels), { decimals: 2 });
				channel.partial.show([partials[i]], scale);
				channel.partial.point(row, column);
			});
			this.whole.show([this.sum], scale);
			this.whole.point(row, column);
			cnnviz.colorBar(this.find(".bar"), scale, "partial maps and sum");
			this.#showNumbers(added, [...partials.map((map) => (parts.includes(map) ? map.data[here] : 0)), bias]);
			this.say(`row ${row}, column ${column}: ${format(this.sum.data[here])}`);
		}

		/** What is added at the unit, a line a step. */
		#showNumbers(added, numbers) {
			const body = this.find("tbody");
			body.replaceChildren();
			let sum = 0;
			[...this.names, "bias", "ReLU"].forEach((name, i) => {
				sum = i < numbers.length ? sum + numbers[i] : Math.max(sum, 0);
				const line = body.insertRow();
				line.className = i === added - 1 ? "now" : "";
				const texts = i < added ? [format(numbers[i] ?? sum), format(sum)] : ["", ""];
				for (const text of [name, ...texts]) line.insertCell().textContent = text;
			});
		}
	}

	ChannelSum.define("cnn-channel-sum");
})();
