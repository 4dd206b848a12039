/**
 * <cnn-learn-kernel>: gradient descent finds a kernel from pictures before and after.
 *
 * Attributes: `target`, `learning_rate`, `batch` (pictures a step, in turn), `seed`, `step`, `speed`
 * (steps a second). Data: {pictures, starts, targets, steps}. Property: `learned`.
 */
"use strict";

(() => {
	const { convolve, format, paint, unpackMaps } = cnnviz;
	const BOUND = 1e6;

	class LearnKernel extends cnnviz.Figure {
		static markup = `
			<div class="controls"><button class="play">play</button>
				<label>step <input name="step" type="range" value="0"></label>
				<label>speed <input name="speed" type="range" min="1" max="60"></label>
				<label>target <select name="target"></select></label>
				<label>learning rate <input name="learning_rate" type="number" step="any" min="0" max="1000" value="1" required></label>
				<label>batch <input name="batch" type="number" min="1" required></label>
				<label>seed <input name="seed" type="number" min="0" max="9" value="0" required></label></div>
			<div class="parts">
				<div>Picture<canvas role="img" aria-label="picture"></canvas></div>
				<div>Loss<div class="chart"><svg viewBox="0 0 100 100"><polyline/></svg>
					<p>100<p>1<p>0.01<p>0.0001<p>0.000001</div></div>
				<div>Target<div class="kernel"></div></div>
				<div>Learned<div class="kernel"></div></div>
				<div>Its answer<canvas role="img" aria-label="target answer"></canvas></div>
				<div>Its answer<canvas role="img" aria-label="learned answer"></canvas></div>
			</div><div class="bar"></div>`;

		static styles = `
			.parts { display: grid; grid: auto auto / auto-flow 1fr; gap: .75rem; }
			@container (width < 30rem) { .parts { grid: auto-flow / 1fr 1fr; } }
			canvas, .chart, .values { aspect-ratio: 1; width: 100%; container-type: inline-size;
				image-rendering: pixelated; vertical-align: top; }
			.cell { font-size: min(8cqi, .9rem); }
			.chart { display: grid; position: relative; }
			.chart p { margin: 0; border-top: 1px solid var(--line); font-size: .75rem; color: var(--muted); }
			svg { position: absolute; fill: none; stroke: var(--accent); }`;

		start({ pictures, starts, targets, steps }) {
			Object.assign(this, { pictures: unpackMaps(pictures), starts: unpackMaps(starts), targets, steps });
			const { target, batch, step, speed } = this.form.elements;
			target.append(...Object.keys(targets).map((name) => new Option(name)));
			batch.max = batch.value = pictures.shape[0];
			step.max = steps;
			const forward = () => {
				this.put("step", (step.valueAsNumber + 1) % (steps + 1));
				return step.valueAsNumber < steps && this.learned.loss < BOUND;
			};
			new cnnviz.Player(this.find(".play"), forward, () => speed.valueAsNumber);
		}

		render({ step, speed, ...settings }) {
			this.#learn(step, settings);
			const { course, target } = this;
			const at = Math.min(step, course.length - 1);
			const { kernel, loss } = (this.learned = course[at]);
			const [picture] = this.pictures;
			const answers = [target, kernel].map((each) => convolve(picture, each));
			const scale = cnnviz.signedScale(...answers);
			const tables = this.form.querySelectorAll(".kernel");
			const [before, ...after] = this.form.querySelectorAll("canvas");
			paint(before, [picture], { kind: "grey", low: 0, high: 1 });
			[target, kernel].forEach((each, i) => {
				cnnviz.values(tables[i], each, cnnviz.signedScale(target), { decimals: 3 });
				paint(after[i], [answers[i]], scale);
			});
			cnnviz.colorBar(this.find(".bar"), scale, "both answers");
			// 100 at the top, each tenth ten times less.
			const points = course.map((each, i) => [(100 * i) / this.steps, 20 - 10 * Math.log10(each.loss + 1e-9)]);
			this.find("polyline").setAttribute("points", points.slice(0, at + 1).join(" "));
			this.say(`Step ${at}: loss ${format(loss)}`);
			if (loss > BOUND) {
				this.warn(`The loss has grown without bounds: ${format(loss)}. Lower the learning rate.`);
			}
		}

		/** Learn up to a step, on from what these settings learned. */
		#learn(step, settings) {
			const key = JSON.stringify(settings);
			if (key !== this.key) {
				const [target] = unpackMaps(this.targets[settings.target]);
				const descent = descend(this.starts[settings.seed], target, this.pictures, settings);
				Object.assign(this, { key, target, descent, course: [] });
			}
			const end = performance.now() + 30;
			while (this.course.length <= step) {
				if (performance.now() > end) return this.update();
				const { value, done } = this.descent.next();
				if (done) return;
				this.course.push(value);
			}
		}
	}

	/**
	 * Descend the mean squared difference, until it has grown without bounds. Its gradient
	 * is a convolution too, of each picture with its differences.
	 */
	function* descend(kernel, target, pictures, { learning_rate, batch }) {
		const answers = pictures.map((picture) => convolve(picture, target));
		for (let first = 0, loss = 0; loss < BOUND; first += batch) {
			const moved = Float64Array.from(kernel.data);
			loss = 0;
			for (let i = first; i < first + batch; i++) {
				const picture = pictures[i % pictures.length];
				const { data } = answers[i % pictures.length];
				const count = data.length * batch;
				const difference = convolve(picture, kernel);
				difference.data.forEach((value, at) => {
					difference.data[at] = value - data[at];
					loss += difference.data[at] ** 2 / count;
				});
				convolve(picture, difference).data.forEach((sum, at) => (moved[at] -= (learning_rate * 2 * sum) / count));
			}
			yield { kernel, loss };
			kernel = cnnviz.plane(3, 3, moved);
		}
	}

	LearnKernel.define("cnn-learn-kernel");
})();
