/**
 * What all live figures share. A figure is a custom element; its controls are a form, and
 * the form is its state: attributes set the defaults, the address keeps what the reader
 * changed, `state` reads and sets all of it.
 *
 * A figure extends `cnnviz.Figure` with `static markup`, `static styles`, `start(data)`,
 * which runs once, and `render(state)`, which runs after each change.
 */
"use strict";

(() => {
	const STYLES = `
		:host {
			--text: var(--color-foreground-primary, light-dark(#000, #ddd));
			--muted: var(--color-foreground-secondary, light-dark(#5a5c63, #9ca0a5));
			--line: var(--color-background-border, light-dark(#ccc, #444));
			--ground: var(--color-background-secondary, light-dark(#f8f9fb, #1a1c1e));
			--page: var(--color-background-primary, light-dark(#fff, #131416));
			--accent: var(--color-brand-primary, light-dark(#0b62c4, #6cb2ff));
			display: block; margin: 1.25rem 0 1.75rem; color: var(--text); line-height: 1.4;
			font-size: .9375rem; font-variant-numeric: tabular-nums; container-type: inline-size;
		}
		* { box-sizing: border-box; }
		:host([hidden]), [hidden] { display: none !important; }
		form { border: 1px solid var(--line); border-radius: .4rem; padding: .75rem; }
		.controls, .panels, .colour-bar, footer { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; }
		.controls { margin-bottom: .75rem; }
		label { display: inline-flex; align-items: center; gap: .4rem; min-height: 1.75rem; }
		input, select, button, textarea { font: inherit; color: inherit; max-width: 100%;
			background: var(--page); border: 1px solid var(--muted); border-radius: .25rem;
			padding: .2rem .45rem; min-height: 1.75rem; }
		input[type=range], input[type=checkbox] { accent-color: var(--accent); padding: 0; }
		input[type=checkbox] { width: 1.25rem; height: 1.25rem; min-height: 0; margin: 0; }
		input[type=number] { width: 4.5rem; }
		form:not([inert]) :invalid, [aria-invalid=true] { outline: 2px solid #d4501a; }
		button { cursor: pointer; background: var(--ground); }
		button[aria-pressed=true] { background: var(--accent); color: var(--page); border-color: var(--accent); }
			:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
		.panels { gap: .75rem; align-items: flex-start; }
		.panels > * { flex: 1 1 14rem; min-width: 0; }
		.title { font-weight: 600; margin-bottom: .25rem; }
		p { margin: .25rem 0; }
		small { color: var(--muted); }
		.picture { position: relative; touch-action: pan-y; overflow: hidden; line-height: 0; }
		.picture[tabindex] { cursor: crosshair; }
		.picture canvas { width: 100%; height: auto; image-rendering: pixelated; display: block; }
		.frame { position: absolute; pointer-events: none; min-width: 5px; min-height: 5px;
			border: 2px solid #d4501a; box-shadow: 0 0 0 1px #fff, inset 0 0 0 1px #fff; }
		.values { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); line-height: 1; }
		.cell { aspect-ratio: 1; display: grid; place-items: center; font-size: clamp(.55rem, 20cqi / var(--columns), .8rem);
			overflow: hidden; }
		.cell.marked { outline: 2px solid #d4501a; outline-offset: -2px; }
		.colour-bar { justify-content: space-between; gap: 0; font-size: .8125rem; margin-top: .35rem; }
		.colour-bar i { flex: 0 0 100%; height: .6rem; }
		.colour-bar small { flex: 0 0 100%; }
		footer { gap: .5rem; margin-top: .75rem; }
		footer output { flex: 1 1 12rem; min-height: 1.4em; color: var(--muted); }
		.message:empty { display: none; }
		.message { margin: .5rem 0 0; padding: .3rem .6rem; border-left: 3px solid #d4501a; background: var(--ground); }
		table { border-collapse: collapse; }
		th, td { padding: .15rem .5rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400; }
		@media print {
			.controls, footer, :host([src]) form { display: none; }
			:host([src]) slot[hidden] { display: contents !important; }
		}
	`;
	const NEAR = "800px";
	const provided = new Map();
	const figures = new Map();

	/** Called by a script of data: the data of the figures that name it, and the settings that Python gave. */
	function provide(data, settings = {}) {
		provided.set(document.currentScript.src, { data, settings });
	}

	/** Add the script at an address, once; return what it provides: { data, settings }. */
	function fetchData(address) {
		const script = Object.assign(document.createElement("script"), { src: address });
		const { src } = script;
		if (!provided.has(src)) {
			const loaded = new Promise((done, failed) => {
				script.onload = () => done(provided.get(src));
				script.onerror = () => failed(new cnnviz.InputError("The data of this figure could not be loaded."));
			});
			provided.set(src, loaded);
			document.head.append(script);
		}
		return provided.get(src);
	}

	/** What the address says of figures: settings by the figure's id, in order. */
	function settingsInAddress() {
		const parts = location.hash.slice(1).split(/;(?=[^;?=]*\?)/); // a kernel holds semicolons, too
		const found = new Map();
		for (const [id, settings] of parts.map((part) => part.split("?"))) {
			try {
				if (settings !== undefined) found.set(decodeURIComponent(id), settings);
			} catch {
				// No figure has an id that can't be decoded.
			}
		}
		return found;
	}

	/** Put a fragment into the address bar; false where the page has no address of its own. */
	function replaceFragment(fragment) {
		try {
			history.replaceState(null, "", fragment);
			return true;
		} catch {
			return false;
		}
	}

	/** Put text on the clipboard; false where that is not allowed. */
	async function copy(text) {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch {
			return false;
		}
	}

	const isNumeric = ({ type }) => type === "number" || type === "range";
	const keyOf = ({ type }) => (type === "checkbox" ? "checked" : "value");

	/** A value as a control takes it; null for what it can't. */
	function asSetting(value, control) {
		const text = String(value);
		if (control.type === "checkbox") return ["true", "", "false"].includes(text) ? text !== "false" : null;
		if (!isNumeric(control)) return text;
		return /^[-+.\de]+$/i.test(text.trim()) && Number.isFinite(Number(text)) ? String(Number(text)) : null;
	}

	const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

	/** Repeats a step while its button is pressed and the figure can be seen. */
	class Player {
		/** `step` returns false after the last one; `rate` are steps a second, asked before each. */
		constructor(button, step, rate) {
			Object.assign(this, { button, step, rate, words: button.textContent });
			button.type = "button";
			button.setAttribute("aria-pressed", "false");
			button.onclick = () => this.toggle();
			if (reducedMotion()) button.textContent = "step";
			new IntersectionObserver(([entry]) => entry.isIntersecting || this.stop()).observe(button);
		}

		/** Start or stop; one step where motion is to be reduced. */
		toggle() {
			if (reducedMotion()) this.step();
			else if (this.playing) this.stop();
			else this.start();
		}

		/** Go on in each frame by as many steps as are due, but 50 at most. */
		start() {
			this.playing = true;
			this.#show();
			let due = performance.now();
			const frame = (now) => {
				if (!this.playing) return;
				for (let many = 0; due <= now && many < 50; many++) {
					due += 1000 / this.rate();
					if (this.step() === false) return this.stop();
				}
				due = Math.max(due, now);
				requestAnimationFrame(frame);
			};
			requestAnimationFrame(frame);
		}

		/** Stop at this step. */
		stop() {
			this.playing = false;
			this.#show();
		}

		/** Write on the button what it does next. */
		#show() {
			if (reducedMotion()) return;
			this.button.setAttribute("aria-pressed", String(this.playing));
			this.button.textContent = this.playing ? "pause" : this.words;
		}
	}

	/** The element that each live figure extends. */
	class Figure extends HTMLElement {
		/** The controls and panels in HTML; a control's name is the setting's. */
		static markup = "";

		/** The figure's own CSS. */
		static styles = "";

		/** All settings can be attributes. */
		static get observedAttributes() {
			return ["src", ...[...this.markup.matchAll(/\sname="([\w-]+)"/g)].map(([, name]) => name)];
		}

		/** Make this class the element of a name, once a page. */
		static define(tag) {
			if (!customElements.get(tag)) customElements.define(tag, this);
		}

		#valid = {}; // the settings, by name: the last ones that could be used
		#defaults = {}; // what *reset* brings back
		#early = {}; // settings that were set before the data came
		#settings = {}; // those that came with the data
		#given = false; // have the data come?
		#loading = false;
		#shown = false; // has anything been drawn?
		#notice = ""; // what stays wrong
		#words; // what is to be said next
		#saying; // when: a timer
		#saving; // when the address will keep the settings: a timer
		#frame; // when the figure will be drawn: the number of a frame
		#finish; // keeps the promise `drawn`

		/** Kept when all that was set so far is drawn. */
		drawn = Promise.resolve();

		/** Loads the data when the figure is near. */
		#nearby = new IntersectionObserver(([entry]) => entry.isIntersecting && this.#load(), {
			rootMargin: NEAR,
		});
		/** Called when the address changes. */
		#onaddress = () => this.#readAddress();

		/** The form waits, inert, for data; `ready` is kept when it can be used. */
		constructor() {
			super();
			this.ready = new Promise((done) => (this.done = done));
			const root = this.attachShadow({ mode: "open" });
			root.adoptedStyleSheets = [STYLES, this.constructor.styles].map((text) => {
				const sheet = new CSSStyleSheet();
				sheet.replaceSync(text);
				return sheet;
			});
			root.innerHTML = `<form novalidate inert>${this.constructor.markup}
				<p class="message" role="alert"></p>
				<footer><output aria-live="polite"></output>
					<button type="button" class="copy">copy link</button>
					<button type="button" class="reset">reset</button></footer></form><slot hidden></slot>`;
			this.form = root.querySelector("form");
			this.form.onsubmit = (event) => event.preventDefault();
			this.form.oninput = (event) => this.#changed(event.target);
			root.querySelector(".copy").onclick = () => this.#copyLink();
			root.querySelector(".reset").onclick = () => this.reset();
		}

		/** Called by the browser: the element is in the page. */
		connectedCallback() {
			this.#takeId();
			this.#shape();
			this.form.setAttribute("aria-label", this.getAttribute("label") ?? this.id.replaceAll("-", " "));
			addEventListener("hashchange", this.#onaddress);
			for (const name of ["state", "data"]) this.#upgrade(name);
			this.#readInside();
			// A script in the page's head runs before the element's content is there.
			if (document.readyState === "loading") {
				document.addEventListener("DOMContentLoaded", () => this.#readInside());
			}
			this.#seek();
		}

		/** Called by the browser: it no longer is. */
		disconnectedCallback() {
			removeEventListener("hashchange", this.#onaddress);
		}

		/** Called by the browser: an attribute sets the setting of its name. */
		attributeChangedCallback(name, _, value) {
			if (name === "src") this.#seek();
			else if (this.started && value !== null) this.state = { [name]: value };
		}

		/** What the script's `start` gets; once. */
		set data(data) {
			if (this.#given) throw new Error(`${this.localName} has its data already`);
			this.#given = true;
			this.#start(data);
		}

		/** Take an id that no other figure has: addresses name figures by it. */
		#takeId() {
			const isFree = (id) => {
				const other = figures.get(id) ?? this;
				const first = document.getElementById(id) ?? this;
				return (other === this || !other.isConnected) && first === this;
			};
			const wanted = this.id || this.localName.replace("cnn-", "");
			let id = wanted;
			for (let number = 2; !isFree(id); number++) id = `${wanted}-${number}`;
			this.id = id;
			figures.set(id, this);
		}

		/** Set a property again that was set while the element was not yet a figure. */
		#upgrade(name) {
			if (!Object.hasOwn(this, name)) return;
			const value = this[name];
			delete this[name];
			this[name] = value;
		}

		/** Take data that stand inside of the element. */
		#readInside() {
			const inside = this.querySelector("script[type='application/json']");
			if (inside && !this.#given) this.data = JSON.parse(inside.textContent);
		}

		/** Load the data when the figure comes near, or at once if the address names it. */
		#seek() {
			if (this.#given || !this.isConnected || !this.hasAttribute("src")) return;
			if (settingsInAddress().has(this.id)) this.#load();
			else this.#nearby.observe(this);
		}

		/** The settings by name. Setting some of them leaves the others. */
		get state() {
			return { ...this.#valid };
		}

		/** What can't be used is told, and left as it was. */
		set state(values) {
			if (!this.started) {
				Object.assign(this.#early, values);
				return;
			}
			const refused = this.#assign(values);
			this.update();
			if (refused.length) this.warn(`Left as they were: ${refused.join("; ")}.`);
		}

		/** Set all controls to what they were at first. */
		reset() {
			this.#assign(this.#defaults);
			this.onreset?.();
			this.#save();
			this.update();
		}

		/** Set one control as the reader would: the address keeps it. */
		put(name, value) {
			const control = this.form.elements[name];
			control[keyOf(control)] = value;
			this.#changed(control);
		}

		/** What follows from settings that are set, unless they are set as well: name → value. */
		implied(_set) {
			return {};
		}

		/** What well-formed settings can't be drawn together: pairs of their names and words. */
		conflicts(_state) {
			return [];
		}

		/** Draw in the next frame. */
		update() {
			this.warn("");
			cancelAnimationFrame(this.#frame);
			this.#frame = requestAnimationFrame(() => this.draw());
			if (!this.#finish) this.drawn = new Promise((done) => (this.#finish = done));
		}

		/** Draw now. If that fails, say why; the last picture stays. */
		draw() {
			if (!this.started) return;
			cancelAnimationFrame(this.#frame);
			this.#frame = null;
			try {
				this.render(this.state);
				this.#emit("change", this.state);
			} catch (error) {
				this.#tell(error);
				if (!this.#shown) this.#assign(this.#defaults);
				if (!this.#shown) requestAnimationFrame(() => this.draw());
			}
			this.#shown = true;
			if (this.#frame) return; // it is not finished, and asked for another frame
			this.#finish?.();
			this.#finish = null;
		}

		/** Set controls to what is drawn in their place, such as the nearest unit; in `start`, to what is drawn at first. */
		amend(values) {
			this.#accept(values);
		}

		/** Say what is pointed at, at most every 150 ms. */
		say(text) {
			this.#words = text;
			const output = this.form.querySelector("footer output");
			if (this.#saying) return;
			const say = () => {
				this.#saying = null;
				output.textContent = this.#words;
			};
			this.#saying = setTimeout(say, output.textContent ? 150 : 0);
		}

		/** Tell the reader what is wrong, until the next change; without text, what stays wrong. */
		warn(text) {
			const message = this.form.querySelector(".message");
			text ||= this.#notice;
			if (message.textContent === text) return;
			message.textContent = text;
			if (text) this.#emit("message", text);
		}

		/** What stays wrong: it is told as long as nothing else is. */
		set notice(text) {
			if (text === this.#notice) return;
			this.#notice = text;
			this.warn("");
		}

		/** Take pictures that readers choose, drop or paste. They stay here. */
		takePictures(button, take, side = 1024) {
			const file = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
			const read = async ([picture], event) => {
				if (!picture) return;
				event.preventDefault();
				try {
					const planes = await cnnviz.readPicture(picture, side);
					this.notice = cnnviz.inexactness(planes[0]);
					take(planes);
				} catch (error) {
					this.warn(error.message);
				}
			};
			button.onclick = () => file.click();
			file.onchange = (event) => read(file.files, event);
			this.addEventListener("dragover", (event) => event.preventDefault());
			this.addEventListener("drop", (event) => read(event.dataTransfer.files, event));
			this.addEventListener("paste", (event) => read(event.clipboardData.files, event));
		}

		/** The first element of the figure that a selector of CSS finds. */
		find(selector) {
			return this.form.querySelector(selector);
		}

		/** Keep a control's value, which can be used, and show it beside a slider. */
		#remember(control) {
			control.ariaInvalid = "false";
			this.#valid[control.name] = isNumeric(control) ? control.valueAsNumber : control[keyOf(control)];
			const output = control.nextElementSibling;
			if (output?.localName === "output") output.value = cnnviz.format(this.#valid[control.name]);
		}

		/** Why a control's value can't be used. */
		#problem(control) {
			const { validity, name, value, min, max, step, title } = control;
			const words = control.getAttribute("aria-label") ?? control.labels?.[0]?.textContent.trim() ?? name;
			if (control.options) return control.selectedIndex < 0 ? `${words} has no such choice` : "";
			if (validity.valid) return "";
			if (!isNumeric(control)) {
				return `${words} must be ${title}, got ${value.slice(0, 40)}`;
			}
			const kind = step === "any" || step.includes(".") ? "a number" : "a whole number";
			const bounds = max ? ` from ${min} to ${max}` : "";
			return `${words} must be ${kind}${bounds}, got ${value || "no number"}`;
		}

		/** Take what was typed or chosen. What could not be used before may fit now. */
		#changed(control) {
			if (!control.name) return;
			const waiting = [...this.form.elements].filter((each) => each.name && each.ariaInvalid === "true");
			const problems = [...new Set([control, ...waiting])].map((each) => this.#take(each));
			const [first] = problems.filter(Boolean);
			if (problems.includes("")) {
				this.#save();
				this.update();
			}
			if (first) this.warn(`${first}.`);
		}

		/** Take the value of one control, and what it implies; return why it can't be used, or nothing. */
		#take(control) {
			const { name } = control;
			const before = this.state;
			let problem = this.#problem(control);
			if (!problem) {
				this.#remember(control);
				const implied = this.#accept(this.implied({ [name]: this.#valid[name] }));
				problem = this.conflicts(this.state).find(([names]) => names.includes(name))?.[1] ?? "";
				if (problem) for (const each of Object.keys(implied)) this.#accept({ [each]: before[each] });
			}
			if (problem) {
				this.#valid[name] = before[name];
				control.ariaInvalid = "true";
			}
			return problem;
		}

		/** Set controls by name, all that can be used; return what was refused, in words. */
		#assign(values) {
			const before = this.state;
			const refused = [];
			const set = this.#accept(values, refused);
			const implied = Object.entries(this.implied(set)).filter(([name]) => !(name in values));
			Object.assign(set, this.#accept(Object.fromEntries(implied), refused));
			for (;;) {
				const isNew = ([names]) => names.some((name) => name in set);
				const [names, words] = this.conflicts(this.state).find(isNew) ?? [];
				if (!names) return refused;
				refused.push(words);
				for (const name of names) {
					if (name in set) this.#accept({ [name]: before[name] });
					delete set[name];
				}
			}
		}

		/** Set controls to what is well-formed; return that by name, and add to `refused` what is not. */
		#accept(values, refused = []) {
			const set = {};
			for (const [name, value] of Object.entries(values)) {
				const control = this.form.elements.namedItem(name);
				if (!control) {
					refused.push(`there is no setting “${name.slice(0, 40)}”`);
					continue;
				}
				const key = keyOf(control);
				const before = this.#valid[name] ?? control[key];
				const setting = asSetting(value, control);
				control[key] = setting;
				const problem =
					control[key] === setting ? this.#problem(control) : `${name} can't be ${String(value).slice(0, 40)}`;
				if (problem) {
					control[key] = before;
					refused.push(problem);
				} else {
					this.#remember(control);
					set[name] = this.#valid[name];
				}
			}
			return set;
		}

		/** Set the controls to what the address says; the first figure in it is shown. */
		#readAddress() {
			const settings = settingsInAddress();
			if (!this.started || !settings.has(this.id)) return;
			this.#assign(this.#defaults); // what a link leaves out
			const refused = this.#assign(Object.fromEntries(new URLSearchParams(settings.get(this.id))));
			if (settings.keys().next().value === this.id) this.#reveal();
			this.update();
			if (refused.length) this.warn(`Not all of the link could be read: ${refused.join("; ")}.`);
		}

		/** Scroll here, and open what the figure is folded into. */
		#reveal() {
			for (let fold = this.closest("details"); fold; fold = fold.parentElement.closest("details")) {
				fold.open = true;
			}
			this.scrollIntoView();
		}

		/** What leads here behind an address, with these settings and those of other figures. */
		get link() {
			const differ = (values) => Object.entries(this.#valid).filter(([name, value]) => value !== values[name]);
			const implied = this.implied(Object.fromEntries(differ(this.#defaults)));
			const settings = new URLSearchParams(differ({ ...this.#defaults, ...implied }));
			const others = settingsInAddress();
			others.delete(this.id);
			const parts = [[this.id, settings], ...others];
			return `#${parts.map(([id, settings]) => `${encodeURIComponent(id)}?${settings}`).join(";")}`;
		}

		/** Keep the settings in the address, soon. */
		#save() {
			clearTimeout(this.#saving);
			this.#saving = setTimeout(() => {
				if (!this.hasAttribute("embedded")) replaceFragment(this.link);
			}, 300);
		}

		/** Copy what leads here, or say truly where it is. */
		async #copyLink() {
			const { href, protocol } = new URL(this.link, location.href);
			if (!/^(https?|file):/.test(protocol)) {
				return this.say("This page has no address of its own, so no link leads here.");
			}
			if (await copy(href)) return this.say("The link is copied.");
			const inBar = self === top && !this.hasAttribute("embedded") && replaceFragment(this.link);
			this.say(inBar ? "The link is in the address bar." : `The browser does not let it be copied: ${href}`);
		}

		/** Get the data that `src` names, once, and start. */
		async #load() {
			if (this.#loading) return;
			this.#loading = true;
			this.#nearby.disconnect();
			try {
				const { data, settings } = await fetchData(this.getAttribute("src"));
				for (const [name, value] of Object.entries(settings)) {
					if (this.form.elements.namedItem(name)) this.#settings[name] = value;
					else if (!this.hasAttribute(name)) this.setAttribute(name, value);
				}
				this.data = data;
			} catch (error) {
				this.#loading = false;
				this.#fail(error);
			}
		}

		/** Take the sides of the picture, which are known before it comes, from an attribute. */
		#shape() {
			this.style.setProperty("--ratio", this.getAttribute("ratio") ?? 1);
		}

		/** Start with the data, then take settings: those of Python, attributes, script, address. */
		async #start(data) {
			this.#shape();
			try {
				await this.start(data);
			} catch (error) {
				this.#fail(error);
				return;
			}
			for (const control of this.form.elements) if (control.name) this.#remember(control);
			const names = Object.keys(this.#valid).filter((name) => this.hasAttribute(name));
			const refused = this.#assign(this.#settings);
			refused.push(...this.#assign(Object.fromEntries(names.map((name) => [name, this.getAttribute(name)]))));
			this.#defaults = this.state;
			this.started = true;
			this.form.inert = false;
			if (refused.length) this.warn(`${refused.join("; ")}.`);
			if (Object.keys(this.#early).length) this.state = this.#early;
			this.#readAddress();
			this.draw();
			this.done(this);
			this.#emit("ready");
		}

		/** Tell the page's scripts, by an event, what happened. */
		#emit(name, detail) {
			this.dispatchEvent(new CustomEvent(`cnn-${name}`, { detail }));
		}

		/** Without data the static figure is seen. */
		#fail(error) {
			this.shadowRoot.querySelector("slot").hidden = false;
			this.#tell(error);
		}

		/** Put an error into words; one that is no reader's goes to the console. */
		#tell(error) {
			if (!(error instanceof cnnviz.InputError)) throw error;
			this.warn(error.message);
		}
	}

	Object.assign(cnnviz, { provide, copy, Player, Figure });
})();
